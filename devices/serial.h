/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * 16550A serial port: eight one-byte registers and an interrupt line.
 *
 * Who sits at the other end of the wire is said by struct serial_line;
 * console.h has the one that people use.
 */
#ifndef WHERRY_DEVICES_SERIAL_H
#define WHERRY_DEVICES_SERIAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "virtio/fail.h"
#include "virtio/state.h"

/* Bytes of address space. */
#define SERIAL_SIZE	8u
/* A driver that saw THRE writes as many bytes without looking again; and so
 * many received bytes are kept for it. */
#define SERIAL_FIFO	16u

/* Register offsets (16550D data sheet, table II). */
#define SERIAL_RBR	0u	/* read, DLAB = 0 */
#define SERIAL_THR	0u	/* write, DLAB = 0 */
#define SERIAL_DLL	0u	/* DLAB = 1 */
#define SERIAL_IER	1u	/* DLAB = 0 */
#define SERIAL_DLM	1u	/* DLAB = 1 */
#define SERIAL_IIR	2u	/* read */
#define SERIAL_FCR	2u	/* write */
#define SERIAL_LCR	3u
#define SERIAL_MCR	4u
#define SERIAL_LSR	5u
#define SERIAL_MSR	6u
#define SERIAL_SCR	7u

#define SERIAL_IER_RDI	0x01u	/* received data */
#define SERIAL_IER_THRI	0x02u	/* transmitter empty */
#define SERIAL_IER_RLSI	0x04u	/* receiver line status */
#define SERIAL_IER_MSI	0x08u	/* modem status */
#define SERIAL_IER_MASK	0x0fu

/* IIR: what is pending, by falling priority. */
#define SERIAL_IIR_RLSI		0x06u
#define SERIAL_IIR_RDI		0x04u
#define SERIAL_IIR_THRI		0x02u
#define SERIAL_IIR_MSI		0x00u
#define SERIAL_IIR_NONE		0x01u
#define SERIAL_IIR_FIFO		0xc0u

#define SERIAL_FCR_ENABLE	0x01u
#define SERIAL_FCR_CLEAR_RX	0x02u
#define SERIAL_FCR_CLEAR_TX	0x04u
#define SERIAL_FCR_TRIGGER	0xc0u

#define SERIAL_LCR_DLAB	0x80u

#define SERIAL_MCR_DTR	0x01u
#define SERIAL_MCR_RTS	0x02u
#define SERIAL_MCR_OUT1	0x04u
#define SERIAL_MCR_OUT2	0x08u
#define SERIAL_MCR_LOOP	0x10u
#define SERIAL_MCR_MASK	0x1fu

#define SERIAL_LSR_DR	0x01u	/* data ready */
#define SERIAL_LSR_OE	0x02u	/* overrun */
#define SERIAL_LSR_THRE	0x20u	/* room for SERIAL_FIFO bytes */
#define SERIAL_LSR_TEMT	0x40u

#define SERIAL_MSR_DCTS	0x01u
#define SERIAL_MSR_DDSR	0x02u
#define SERIAL_MSR_TERI	0x04u
#define SERIAL_MSR_DDCD	0x08u
#define SERIAL_MSR_CTS	0x10u
#define SERIAL_MSR_DSR	0x20u
#define SERIAL_MSR_RI	0x40u
#define SERIAL_MSR_DCD	0x80u

/**
 * struct serial_line - the other end of the wire
 * @put: the guest sends @byte. Return: whether SERIAL_FIFO more bytes can be
 *     taken now; after a false, serial_writable() is due some day. Must not
 *     block
 * @room: serial_receive() took less than it was given; now there is room
 *
 * Context of both: vCPU thread, port locked: no calls back into it.
 */
struct serial_line {
	bool (*put)(void *opaque, uint8_t byte);
	void (*room)(void *opaque);
};

/**
 * struct serial_registers - what of a port is saved
 * @ier: interrupt enable
 * @fcr: FIFO control, the bits that stick
 * @lcr: line control
 * @mcr: modem control
 * @scr: scratch
 * @dll: divisor latch, low
 * @dlm: divisor latch, high
 * @errors: the bits of LSR that reading it clears
 * @deltas: the bits of MSR that reading it clears
 * @thr_empty: "transmitter empty" not yet reported by IIR
 * @blocked: the line has no room: THRE and TEMT are clear
 * @rx_count: bytes in @rx
 * @rx: received bytes, oldest first
 */
struct serial_registers {
	uint8_t ier;
	uint8_t fcr;
	uint8_t lcr;
	uint8_t mcr;
	uint8_t scr;
	uint8_t dll;
	uint8_t dlm;
	uint8_t errors;
	uint8_t deltas;
	bool thr_empty;
	bool blocked;
	uint8_t rx_count;
	uint8_t rx[SERIAL_FIFO];
};

/**
 * struct serial - one port
 * @lock: held for everything below but @irq_fd
 * @irq_fd: eventfd written for each edge of the interrupt line (KVM irqfd);
 *          -1: not initialised
 * @line: the other end; NULL: nothing connected, what is sent is lost
 * @opaque: handed to @line
 * @reg: see there
 * @rx_wanted: @line waits for room
 * @raised: interrupt conditions that the guest got an edge for, bits of IER
 */
struct serial {
	pthread_mutex_t lock;
	int irq_fd;
	const struct serial_line *line;
	void *opaque;
	struct serial_registers reg;
	bool rx_wanted;
	uint8_t raised;
};

/** serial_state - for a struct serial_registers; see serial_save() */
extern const struct state_table serial_state;

/**
 * serial_init() - a port just after power-on, nothing connected
 * Return: 0 or negative errno with the reason.
 */
int serial_init(struct serial *serial, struct fail *why);
/** serial_destroy() - after whoever is connected is gone */
void serial_destroy(struct serial *serial);

/**
 * serial_connect() - say who sits at the other end
 * Context: before the guest runs, or with @line NULL after it ran.
 */
void serial_connect(struct serial *serial, const struct serial_line *line,
		    void *opaque);

/** serial_read() - for struct bus_range; @opaque: struct serial; vCPU thread */
void serial_read(void *opaque, uint64_t offset, void *data, unsigned int len);
/** serial_write() - as serial_read(); wide accesses are runs of byte ones */
void serial_write(void *opaque, uint64_t offset, const void *data,
		  unsigned int len);

/**
 * serial_receive() - bytes for the guest
 *
 * Return: how many were taken; if not all, line->room() will be called.
 * Context: any thread, not locked.
 */
size_t serial_receive(struct serial *serial, const uint8_t *data, size_t len);

/**
 * serial_writable() - the line that refused more has room again
 * Context: any thread, not locked.
 */
void serial_writable(struct serial *serial);

/** serial_save() - into the open node. Context: no vCPU runs */
void serial_save(struct serial *serial, struct state_writer *w);
/**
 * serial_load() - from the node that serial_save() wrote into
 *
 * Repeats the interrupt of every condition that is pending, so the irqchip
 * has to be there. Context: before any vCPU runs; connected already.
 *
 * Return: 0, or negative errno with the reason and the port as it was.
 */
int serial_load(struct serial *serial, struct state_node *node,
		struct fail *why);

#endif
