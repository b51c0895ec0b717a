// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * 16550A serial port: owns the registers, the receive FIFO, the interrupt.
 *
 * Registers are accessed on vCPU threads, received bytes come on the loop
 * thread; both under serial->lock, which is held while the line is called.
 *
 * Sending. A byte written to THR goes to the line at once; there is no
 * transmit FIFO here. THRE says whether the line would take SERIAL_FIFO bytes
 * more, for that is how many a driver writes before it looks again.
 *
 * Interrupts. A guest sees the line edge-triggered. update() compares the
 * enabled conditions with those that an edge was sent for (@raised) and sends
 * one for each that is new. Real ports keep the line high while any condition
 * remains, and drivers loop until IIR says that none does; a driver that
 * handles just one condition an interrupt gets a new edge, too, when it has
 * cleared that one and others remain (serviced()). Each batch of received
 * bytes sends an edge of its own, so that a lost one does not end all input.
 *
 * Line speed, format, parity and break mean nothing here. OUT2 does not gate
 * the interrupt, as it would on a PC, since some small guests never set it.
 */
#include "devices/serial.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* 9600 baud, as firmware leaves it; only ever read back. */
#define DIVISOR_DEFAULT 12u
#define FCR_STICKY (SERIAL_FCR_ENABLE | SERIAL_FCR_TRIGGER)
/* What the other end of the wire holds up all the time. */
#define MSR_PRESENT (SERIAL_MSR_CTS | SERIAL_MSR_DSR | SERIAL_MSR_DCD)

#define REG(member, name, max) \
	STATE_VALUE(struct serial_registers, member, name, 0, max)
static const struct state_field serial_fields[] = {
	REG(ier, "ier", SERIAL_IER_MASK),
	REG(fcr, "fcr", 0xff),
	REG(lcr, "lcr", 0xff),
	REG(mcr, "mcr", SERIAL_MCR_MASK),
	REG(scr, "scr", 0xff),
	REG(dll, "dll", 0xff),
	REG(dlm, "dlm", 0xff),
	REG(errors, "lsr-errors", SERIAL_LSR_OE),
	REG(deltas, "msr-deltas", 0x0f),
	REG(thr_empty, "thr-empty", 1),
	REG(blocked, "thr-blocked", 1),
	REG(rx_count, "rx-count", SERIAL_FIFO),
	STATE_BYTES(struct serial_registers, rx, "rx"),
};
#undef REG
const struct state_table serial_state = STATE_TABLE(serial_fields, 1);

static bool looped(const struct serial *s)
{
	return s->reg.mcr & SERIAL_MCR_LOOP;
}

/* Enabled conditions, as bits of IER. */
static uint8_t pending(const struct serial *s)
{
	unsigned int bits = 0;

	if (s->reg.errors)
		bits |= SERIAL_IER_RLSI;
	if (s->reg.rx_count)
		bits |= SERIAL_IER_RDI;
	if (s->reg.thr_empty)
		bits |= SERIAL_IER_THRI;
	if (s->reg.deltas)
		bits |= SERIAL_IER_MSI;
	return (uint8_t)(bits & s->reg.ier);
}

static void edge(struct serial *s)
{
	const uint64_t one = 1;
	ssize_t n;

	/* Nonblocking, and 2^64 - 2 edges away from failing. */
	n = write(s->irq_fd, &one, sizeof(one));
	(void)n;
}

/* Something changed: send an edge if there is a condition without one. */
static void update(struct serial *s)
{
	uint8_t now = pending(s);

	if (now & ~s->raised)
		edge(s);
	s->raised = now;
}

/* The driver cleared a condition: send an edge if others remain. */
static void serviced(struct serial *s)
{
	s->raised = 0;
	update(s);
}

static uint8_t modem_status(const struct serial *s)
{
	unsigned int bits = 0;

	if (!looped(s))
		return MSR_PRESENT;
	if (s->reg.mcr & SERIAL_MCR_RTS)
		bits |= SERIAL_MSR_CTS;
	if (s->reg.mcr & SERIAL_MCR_DTR)
		bits |= SERIAL_MSR_DSR;
	if (s->reg.mcr & SERIAL_MCR_OUT1)
		bits |= SERIAL_MSR_RI;
	if (s->reg.mcr & SERIAL_MCR_OUT2)
		bits |= SERIAL_MSR_DCD;
	return (uint8_t)bits;
}

static uint8_t line_status(const struct serial *s)
{
	unsigned int bits = s->reg.errors;

	if (s->reg.rx_count)
		bits |= SERIAL_LSR_DR;
	if (looped(s) || !s->reg.blocked)
		bits |= SERIAL_LSR_THRE | SERIAL_LSR_TEMT;
	return (uint8_t)bits;
}

/* IIR without the FIFO bits. */
static uint8_t interrupt_id(const struct serial *s)
{
	uint8_t bits = pending(s);

	if (bits & SERIAL_IER_RLSI)
		return SERIAL_IIR_RLSI;
	if (bits & SERIAL_IER_RDI)
		return SERIAL_IIR_RDI;
	if (bits & SERIAL_IER_THRI)
		return SERIAL_IIR_THRI;
	if (bits & SERIAL_IER_MSI)
		return SERIAL_IIR_MSI;
	return SERIAL_IIR_NONE;
}

/* How many bytes the line may deliver now. */
static size_t rx_room(const struct serial *s)
{
	/* In loopback the wire is cut (data sheet, 8.6.7). */
	return looped(s) ? 0 : SERIAL_FIFO - s->reg.rx_count;
}

/* The FIFO got emptier, or the wire was joined again. */
static void rx_drained(struct serial *s)
{
	if (!s->rx_wanted || !rx_room(s) || s->reg.rx_count)
		return;
	s->rx_wanted = false;
	if (s->line)
		s->line->room(s->opaque);
}

static uint8_t read_rbr(struct serial *s)
{
	uint8_t byte;

	if (!s->reg.rx_count)
		return 0;
	byte = s->reg.rx[0];
	s->reg.rx_count--;
	memmove(s->reg.rx, s->reg.rx + 1, s->reg.rx_count);
	rx_drained(s);
	update(s);
	return byte;
}

static uint8_t read_iir(struct serial *s)
{
	uint8_t id = interrupt_id(s);

	/* Reading IIR clears this cause, and only if it is the one reported. */
	if (id == SERIAL_IIR_THRI) {
		s->reg.thr_empty = false;
		serviced(s);
	}
	if (s->reg.fcr & SERIAL_FCR_ENABLE)
		id |= SERIAL_IIR_FIFO;
	return id;
}

static uint8_t read_lsr(struct serial *s)
{
	uint8_t value = line_status(s);

	if (s->reg.errors) {
		s->reg.errors = 0;
		serviced(s);
	}
	return value;
}

static uint8_t read_msr(struct serial *s)
{
	uint8_t value = modem_status(s) | s->reg.deltas;

	if (s->reg.deltas) {
		s->reg.deltas = 0;
		serviced(s);
	}
	return value;
}

static uint8_t read_register(struct serial *s, uint64_t offset)
{
	bool dlab = s->reg.lcr & SERIAL_LCR_DLAB;

	switch (offset) {
	case SERIAL_RBR:
		return dlab ? s->reg.dll : read_rbr(s);
	case SERIAL_IER:
		return dlab ? s->reg.dlm : s->reg.ier;
	case SERIAL_IIR:
		return read_iir(s);
	case SERIAL_LCR:
		return s->reg.lcr;
	case SERIAL_MCR:
		return s->reg.mcr;
	case SERIAL_LSR:
		return read_lsr(s);
	case SERIAL_MSR:
		return read_msr(s);
	case SERIAL_SCR:
		return s->reg.scr;
	default:
		return 0xff;
	}
}

static void write_thr(struct serial *s, uint8_t byte)
{
	if (looped(s)) {
		if (s->reg.rx_count < SERIAL_FIFO)
			s->reg.rx[s->reg.rx_count++] = byte;
		else
			s->reg.errors |= SERIAL_LSR_OE;
		s->reg.thr_empty = true;
	} else {
		s->reg.blocked = s->line && !s->line->put(s->opaque, byte);
		/* Sent already: empty again, unless the line is full. */
		s->reg.thr_empty = !s->reg.blocked;
	}
	/* It was full for a moment: a new condition, so a new edge. */
	s->raised &= (uint8_t)~SERIAL_IER_THRI;
	update(s);
}

static void write_ier(struct serial *s, uint8_t value)
{
	uint8_t old = s->reg.ier;

	s->reg.ier = value & SERIAL_IER_MASK;
	/* Enabling this one while THR is empty makes it pending anew. */
	if ((s->reg.ier & ~old & SERIAL_IER_THRI) &&
	    (line_status(s) & SERIAL_LSR_THRE))
		s->reg.thr_empty = true;
	update(s);
}

static void write_fcr(struct serial *s, uint8_t value)
{
	bool clear = value & SERIAL_FCR_CLEAR_RX;

	/* Other bits count only together with ENABLE; a change clears. */
	if ((value ^ s->reg.fcr) & SERIAL_FCR_ENABLE)
		clear = true;
	if (!(value & SERIAL_FCR_ENABLE))
		value = 0;
	s->reg.fcr = value & FCR_STICKY;
	if (clear) {
		s->reg.rx_count = 0;
		rx_drained(s);
	}
	update(s);
}

static void write_mcr(struct serial *s, uint8_t value)
{
	uint8_t old = modem_status(s);
	uint8_t changed;

	s->reg.mcr = value & SERIAL_MCR_MASK;
	changed = old ^ modem_status(s);
	/* RI counts at its falling edge only. */
	if (!(old & SERIAL_MSR_RI))
		changed &= (uint8_t)~SERIAL_MSR_RI;
	s->reg.deltas |= changed >> 4;
	rx_drained(s);
	update(s);
}

static void write_register(struct serial *s, uint64_t offset, uint8_t value)
{
	bool dlab = s->reg.lcr & SERIAL_LCR_DLAB;

	switch (offset) {
	case SERIAL_THR:
		if (dlab)
			s->reg.dll = value;
		else
			write_thr(s, value);
		break;
	case SERIAL_IER:
		if (dlab)
			s->reg.dlm = value;
		else
			write_ier(s, value);
		break;
	case SERIAL_FCR:
		write_fcr(s, value);
		break;
	case SERIAL_LCR:
		s->reg.lcr = value;
		break;
	case SERIAL_MCR:
		write_mcr(s, value);
		break;
	case SERIAL_SCR:
		s->reg.scr = value;
		break;
	default:
		/* LSR and MSR: writing is for factory tests. */
		break;
	}
}

void serial_read(void *opaque, uint64_t offset, void *data, unsigned int len)
{
	struct serial *s = opaque;
	uint8_t *to = data;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < len; i++)
		to[i] = read_register(s, offset + i);
	pthread_mutex_unlock(&s->lock);
}

void serial_write(void *opaque, uint64_t offset, const void *data,
		  unsigned int len)
{
	struct serial *s = opaque;
	const uint8_t *from = data;

	pthread_mutex_lock(&s->lock);
	for (unsigned int i = 0; i < len; i++)
		write_register(s, offset + i, from[i]);
	pthread_mutex_unlock(&s->lock);
}

size_t serial_receive(struct serial *s, const uint8_t *data, size_t len)
{
	size_t room;

	pthread_mutex_lock(&s->lock);
	room = rx_room(s);
	if (len > room) {
		len = room;
		s->rx_wanted = true;
	}
	if (len) {
		memcpy(s->reg.rx + s->reg.rx_count, data, len);
		s->reg.rx_count = (uint8_t)(s->reg.rx_count + len);
		s->raised &= (uint8_t)~SERIAL_IER_RDI;
		update(s);
	}
	pthread_mutex_unlock(&s->lock);
	return len;
}

void serial_writable(struct serial *s)
{
	pthread_mutex_lock(&s->lock);
	if (s->reg.blocked) {
		s->reg.blocked = false;
		s->reg.thr_empty = true;
		update(s);
	}
	pthread_mutex_unlock(&s->lock);
}

int serial_init(struct serial *s, struct fail *why)
{
	memset(s, 0, sizeof(*s));
	s->reg.dll = DIVISOR_DEFAULT;
	s->irq_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s->irq_fd < 0)
		return fail(why, -errno, "serial: no interrupt line: %s",
			    strerror(errno));
	pthread_mutex_init(&s->lock, NULL);
	return 0;
}

void serial_destroy(struct serial *s)
{
	if (s->irq_fd < 0)
		return;
	close(s->irq_fd);
	s->irq_fd = -1;
	pthread_mutex_destroy(&s->lock);
}

void serial_connect(struct serial *s, const struct serial_line *line,
		    void *opaque)
{
	pthread_mutex_lock(&s->lock);
	s->line = line;
	s->opaque = opaque;
	pthread_mutex_unlock(&s->lock);
}

void serial_save(struct serial *s, struct state_writer *w)
{
	pthread_mutex_lock(&s->lock);
	state_put(w, &serial_state, &s->reg);
	pthread_mutex_unlock(&s->lock);
}

int serial_load(struct serial *s, struct state_node *node, struct fail *why)
{
	/* Half a load must not show: read into a copy. */
	struct serial_registers reg = { 0 };
	int err;

	err = state_get(node, &serial_state, &reg, why);
	if (err)
		return err;
	if (reg.fcr & ~FCR_STICKY)
		return fail(why, -EINVAL, "fcr: %#x has bits outside of %#x",
			    reg.fcr, FCR_STICKY);
	if (reg.errors & ~SERIAL_LSR_OE)
		return fail(why, -EINVAL, "lsr-errors: %#x is not 0 or %#x",
			    reg.errors, SERIAL_LSR_OE);
	/* The line here is another one, and it is empty. */
	if (reg.blocked) {
		reg.blocked = false;
		reg.thr_empty = true;
	}
	pthread_mutex_lock(&s->lock);
	s->reg = reg;
	rx_drained(s);
	serviced(s);
	pthread_mutex_unlock(&s->lock);
	return 0;
}
