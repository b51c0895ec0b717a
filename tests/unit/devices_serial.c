// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * devices/serial.c: registers, interrupt edges, loopback, back pressure.
 */
#include "tests/unit/devices_serial_bed.h"

/* Registers */

START_TEST(registers_after_power_on)
{
	ck_assert_uint_eq(guest_in(SERIAL_IER), 0);
	ck_assert_uint_eq(guest_in(SERIAL_IIR), SERIAL_IIR_NONE);
	ck_assert_uint_eq(guest_in(SERIAL_LCR), 0);
	ck_assert_uint_eq(guest_in(SERIAL_MCR), 0);
	ck_assert_uint_eq(guest_in(SERIAL_LSR),
			  SERIAL_LSR_THRE | SERIAL_LSR_TEMT);
	ck_assert_uint_eq(guest_in(SERIAL_MSR),
			  SERIAL_MSR_CTS | SERIAL_MSR_DSR | SERIAL_MSR_DCD);
	ck_assert_uint_eq(guest_edges(), 0);
}
END_TEST

START_TEST(plain_registers_hold_what_was_written)
{
	for (unsigned int v = 0; v < 256; v++) {
		guest_out(SERIAL_SCR, v);
		guest_out(SERIAL_LCR, v & ~SERIAL_LCR_DLAB);
		ck_assert_uint_eq(guest_in(SERIAL_SCR), v);
		ck_assert_uint_eq(guest_in(SERIAL_LCR), v & ~SERIAL_LCR_DLAB);
	}
}
END_TEST

START_TEST(unimplemented_bits_read_zero)
{
	/* Linux finds other types of UART by them. */
	guest_out(SERIAL_IER, 0xff);
	ck_assert_uint_eq(guest_in(SERIAL_IER), 0x0f);
	guest_out(SERIAL_MCR, 0xff);
	ck_assert_uint_eq(guest_in(SERIAL_MCR), 0x1f);
	guest_out(SERIAL_FCR, 0x21);
	ck_assert_uint_eq(guest_in(SERIAL_IIR) >> 5, 6);
}
END_TEST

START_TEST(dlab_shows_the_divisor_and_hides_data)
{
	line_type("a");
	guest_out(SERIAL_IER, SERIAL_IER_RLSI);
	guest_out(SERIAL_LCR, SERIAL_LCR_DLAB);
	guest_out(SERIAL_DLL, 0x12);
	guest_out(SERIAL_DLM, 0x34);
	ck_assert_uint_eq(guest_in(SERIAL_DLL), 0x12);
	ck_assert_uint_eq(guest_in(SERIAL_DLM), 0x34);
	ck_assert_uint_eq(line.sent_count, 0);
	guest_out(SERIAL_LCR, 3);
	ck_assert_uint_eq(guest_in(SERIAL_IER), SERIAL_IER_RLSI);
	ck_assert_uint_eq(guest_in(SERIAL_RBR), 'a');
}
END_TEST

START_TEST(status_registers_are_read_only)
{
	guest_out(SERIAL_LSR, 0);
	guest_out(SERIAL_MSR, 0);
	ck_assert_uint_eq(guest_in(SERIAL_LSR),
			  SERIAL_LSR_THRE | SERIAL_LSR_TEMT);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), 0xb0);
}
END_TEST

START_TEST(fifo_bits_of_iir_follow_fcr)
{
	guest_out(SERIAL_FCR, SERIAL_FCR_ENABLE);
	ck_assert_uint_eq(guest_in(SERIAL_IIR),
			  SERIAL_IIR_FIFO | SERIAL_IIR_NONE);
	guest_out(SERIAL_FCR, 0);
	ck_assert_uint_eq(guest_in(SERIAL_IIR), SERIAL_IIR_NONE);
}
END_TEST

START_TEST(wide_access_is_a_run_of_byte_accesses)
{
	uint8_t data[4] = { 0x03, 0x0b, 0, 0 };

	serial_write(&serial, SERIAL_LCR, data, 2);
	serial_read(&serial, SERIAL_LCR, data, 4);
	ck_assert_uint_eq(data[0], 0x03);
	ck_assert_uint_eq(data[1], 0x0b);
	ck_assert_uint_eq(data[2], 0x60);
	ck_assert_uint_eq(data[3], 0xb0);
}
END_TEST

START_TEST(sent_bytes_reach_the_line_in_order)
{
	for (const char *p = "hello"; *p; p++) {
		ck_assert(guest_in(SERIAL_LSR) & SERIAL_LSR_THRE);
		guest_out(SERIAL_THR, (unsigned char)*p);
	}
	ck_assert_uint_eq(line.sent_count, 5);
	ck_assert_mem_eq(line.sent, "hello", 5);
}
END_TEST

START_TEST(port_with_nothing_connected_sends_into_the_void)
{
	serial_connect(&serial, NULL, NULL);
	guest_out(SERIAL_THR, 'x');
	ck_assert_uint_eq(guest_in(SERIAL_LSR),
			  SERIAL_LSR_THRE | SERIAL_LSR_TEMT);
	ck_assert_uint_eq(line.sent_count, 0);
}
END_TEST

/* Receiving */

START_TEST(received_bytes_are_read_in_order)
{
	ck_assert_uint_eq(line_type("abc"), 3);
	for (const char *p = "abc"; *p; p++) {
		ck_assert(guest_in(SERIAL_LSR) & SERIAL_LSR_DR);
		ck_assert_uint_eq(guest_in(SERIAL_RBR), *p);
	}
	ck_assert(!(guest_in(SERIAL_LSR) & SERIAL_LSR_DR));
	ck_assert_uint_eq(guest_in(SERIAL_RBR), 0);
}
END_TEST

START_TEST(full_fifo_takes_no_more_and_asks_when_it_is_empty)
{
	ck_assert_uint_eq(line_type("0123456789abcdefgh"), SERIAL_FIFO);
	ck_assert_uint_eq(line_type("g"), 0);
	for (unsigned int i = 0; i < SERIAL_FIFO; i++) {
		ck_assert_uint_eq(line.rooms, 0);
		guest_in(SERIAL_RBR);
	}
	ck_assert_uint_eq(line.rooms, 1);
	ck_assert_uint_eq(guest_in(SERIAL_LSR) & SERIAL_LSR_OE, 0);
	ck_assert_uint_eq(line_type("g"), 1);
	guest_in(SERIAL_RBR);
	ck_assert_uint_eq(line.rooms, 1);
}
END_TEST

START_TEST(clearing_the_fifo_drops_input_and_makes_room)
{
	line_type("0123456789abcdefg");
	guest_out(SERIAL_FCR, SERIAL_FCR_ENABLE | SERIAL_FCR_CLEAR_RX);
	ck_assert(!(guest_in(SERIAL_LSR) & SERIAL_LSR_DR));
	ck_assert_uint_eq(line.rooms, 1);
	line_type("a");
	guest_out(SERIAL_FCR, SERIAL_FCR_ENABLE);
	ck_assert_uint_eq(guest_in(SERIAL_RBR), 'a');
}
END_TEST

START_TEST(turning_the_fifo_on_or_off_drops_input)
{
	line_type("a");
	guest_out(SERIAL_FCR, SERIAL_FCR_ENABLE);
	ck_assert(!(guest_in(SERIAL_LSR) & SERIAL_LSR_DR));
	line_type("b");
	guest_out(SERIAL_FCR, 0);
	ck_assert(!(guest_in(SERIAL_LSR) & SERIAL_LSR_DR));
}
END_TEST

/* Interrupts */

START_TEST(disabled_conditions_send_no_edge)
{
	line_type("a");
	guest_out(SERIAL_THR, 'x');
	ck_assert_uint_eq(guest_edges(), 0);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

START_TEST(received_data_sends_an_edge)
{
	guest_out(SERIAL_IER, SERIAL_IER_RDI);
	line_type("ab");
	ck_assert_uint_eq(guest_edges(), 1);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RDI);
	guest_in(SERIAL_RBR);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RDI);
	guest_in(SERIAL_RBR);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
	ck_assert_uint_eq(guest_edges(), 0);
}
END_TEST

START_TEST(more_data_sends_another_edge)
{
	/* Or a guest that lost one would never hear of input again. */
	guest_out(SERIAL_IER, SERIAL_IER_RDI);
	line_type("a");
	line_type("b");
	ck_assert_uint_eq(guest_edges(), 2);
}
END_TEST

START_TEST(enabling_a_pending_condition_sends_an_edge)
{
	line_type("a");
	guest_out(SERIAL_IER, SERIAL_IER_RDI);
	ck_assert_uint_eq(guest_edges(), 1);
	/* As Linux does around each console message. */
	guest_out(SERIAL_IER, 0);
	ck_assert_uint_eq(guest_edges(), 0);
	guest_out(SERIAL_IER, SERIAL_IER_RDI);
	ck_assert_uint_eq(guest_edges(), 1);
}
END_TEST

START_TEST(enabling_thri_while_empty_sends_an_edge_each_time)
{
	/* Linux' test for UART_BUG_THRE and UART_BUG_TXEN. */
	for (unsigned int i = 0; i < 2; i++) {
		guest_out(SERIAL_IER, SERIAL_IER_THRI);
		ck_assert_uint_eq(guest_edges(), 1);
		ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
		guest_out(SERIAL_IER, 0);
	}
}
END_TEST

START_TEST(reading_iir_clears_thri_once_reported)
{
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
	/* Enabled already: writing the same changes nothing. */
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

START_TEST(reading_iir_leaves_thri_behind_a_higher_cause)
{
	guest_out(SERIAL_IER, SERIAL_IER_THRI | SERIAL_IER_RDI);
	line_type("a");
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RDI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RDI);
	guest_in(SERIAL_RBR);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
}
END_TEST

START_TEST(every_byte_sent_makes_the_transmitter_empty_anew)
{
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	guest_cause();
	guest_edges();
	for (unsigned int i = 0; i < 3; i++) {
		guest_out(SERIAL_THR, 'x');
		ck_assert_uint_eq(guest_edges(), 1);
	}
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

START_TEST(conditions_that_remain_after_iir_send_an_edge)
{
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	guest_out(SERIAL_IER, SERIAL_IER_THRI | SERIAL_IER_MSI);
	guest_edges();
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert_uint_eq(guest_edges(), 1);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_MSI);
	guest_in(SERIAL_MSR);
	ck_assert_uint_eq(guest_edges(), 0);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

START_TEST(causes_are_reported_by_priority)
{
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	for (unsigned int i = 0; i <= SERIAL_FIFO; i++)
		guest_out(SERIAL_THR, i);
	guest_out(SERIAL_IER, 0x0f);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RLSI);
	ck_assert(guest_in(SERIAL_LSR) & SERIAL_LSR_OE);
	ck_assert(!(guest_in(SERIAL_LSR) & SERIAL_LSR_OE));
	for (unsigned int i = 0; i < SERIAL_FIFO; i++) {
		ck_assert_uint_eq(guest_cause(), SERIAL_IIR_RDI);
		ck_assert_uint_eq(guest_in(SERIAL_RBR), i);
	}
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_MSI);
	guest_in(SERIAL_MSR);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

/* Loopback */

START_TEST(loopback_sends_to_the_receiver_and_not_to_the_line)
{
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	guest_out(SERIAL_THR, 'x');
	ck_assert_uint_eq(line.sent_count, 0);
	ck_assert_uint_eq(guest_in(SERIAL_RBR), 'x');
}
END_TEST

START_TEST(loopback_turns_modem_outputs_into_inputs)
{
	static const uint8_t pairs[][2] = {
		{ SERIAL_MCR_RTS, SERIAL_MSR_CTS },
		{ SERIAL_MCR_DTR, SERIAL_MSR_DSR },
		{ SERIAL_MCR_OUT1, SERIAL_MSR_RI },
		{ SERIAL_MCR_OUT2, SERIAL_MSR_DCD },
		/* The very test of Linux' autoconfig(). */
		{ SERIAL_MCR_OUT2 | SERIAL_MCR_RTS, 0x90 },
		{ 0, 0 },
	};

	for (unsigned int i = 0; i < UNIT_COUNT(pairs); i++) {
		guest_out(SERIAL_MCR, SERIAL_MCR_LOOP | pairs[i][0]);
		ck_assert_uint_eq(guest_in(SERIAL_MSR) & 0xf0, pairs[i][1]);
	}
	guest_out(SERIAL_MCR, 0);
	ck_assert_uint_eq(guest_in(SERIAL_MSR) & 0xf0, 0xb0);
}
END_TEST

START_TEST(modem_deltas_are_cleared_by_reading)
{
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), 0x0b);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), 0);
	/* The ring indicator counts when it falls. */
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP | SERIAL_MCR_OUT1);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), SERIAL_MSR_RI);
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	ck_assert_uint_eq(guest_in(SERIAL_MSR), SERIAL_MSR_TERI);
}
END_TEST

START_TEST(loopback_keeps_the_line_out_until_it_ends)
{
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	ck_assert_uint_eq(line_type("a"), 0);
	ck_assert_uint_eq(line.rooms, 0);
	guest_out(SERIAL_MCR, 0);
	ck_assert_uint_eq(line.rooms, 1);
	ck_assert_uint_eq(line_type("a"), 1);
}
END_TEST

START_TEST(loopback_holds_as_many_bytes_as_a_16550a)
{
	unsigned int count = 0;

	/* Linux' size_fifo(). */
	guest_out(SERIAL_FCR, SERIAL_FCR_ENABLE);
	guest_out(SERIAL_MCR, SERIAL_MCR_LOOP);
	for (unsigned int i = 0; i < 256; i++)
		guest_out(SERIAL_THR, i);
	while (guest_in(SERIAL_LSR) & SERIAL_LSR_DR) {
		guest_in(SERIAL_RBR);
		count++;
	}
	ck_assert_uint_eq(count, 16);
}
END_TEST

/* Back pressure */

START_TEST(thre_stays_clear_until_the_line_has_room)
{
	line.sent_room = 1;
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	guest_cause();
	guest_edges();
	guest_out(SERIAL_THR, 'x');
	ck_assert_uint_eq(guest_in(SERIAL_LSR), 0);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
	ck_assert_uint_eq(guest_edges(), 0);
	/* Neither does enabling the interrupt make it look empty. */
	guest_out(SERIAL_IER, 0);
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	ck_assert_uint_eq(guest_edges(), 0);
	serial_writable(&serial);
	ck_assert_uint_eq(guest_in(SERIAL_LSR),
			  SERIAL_LSR_THRE | SERIAL_LSR_TEMT);
	ck_assert_uint_eq(guest_edges(), 1);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_THRI);
}
END_TEST

START_TEST(byte_sent_regardless_still_reaches_the_line)
{
	line.sent_room = 1;
	guest_out(SERIAL_THR, 'x');
	guest_out(SERIAL_THR, 'y');
	ck_assert_uint_eq(line.sent_count, 2);
	ck_assert_uint_eq(guest_in(SERIAL_LSR), 0);
}
END_TEST

START_TEST(room_that_nobody_waited_for_changes_nothing)
{
	guest_out(SERIAL_IER, SERIAL_IER_THRI);
	guest_cause();
	guest_edges();
	serial_writable(&serial);
	ck_assert_uint_eq(guest_edges(), 0);
	ck_assert_uint_eq(guest_cause(), SERIAL_IIR_NONE);
}
END_TEST

int main(void)
{
	const struct unit_case register_cases[] = {
		UNIT_TEST(registers_after_power_on),
		UNIT_TEST(plain_registers_hold_what_was_written),
		UNIT_TEST(unimplemented_bits_read_zero),
		UNIT_TEST(dlab_shows_the_divisor_and_hides_data),
		UNIT_TEST(status_registers_are_read_only),
		UNIT_TEST(fifo_bits_of_iir_follow_fcr),
		UNIT_TEST(wide_access_is_a_run_of_byte_accesses),
		UNIT_TEST(sent_bytes_reach_the_line_in_order),
		UNIT_TEST(port_with_nothing_connected_sends_into_the_void),
		UNIT_TEST(received_bytes_are_read_in_order),
		UNIT_TEST(full_fifo_takes_no_more_and_asks_when_it_is_empty),
		UNIT_TEST(clearing_the_fifo_drops_input_and_makes_room),
		UNIT_TEST(turning_the_fifo_on_or_off_drops_input),
	};
	const struct unit_case interrupt_cases[] = {
		UNIT_TEST(disabled_conditions_send_no_edge),
		UNIT_TEST(received_data_sends_an_edge),
		UNIT_TEST(more_data_sends_another_edge),
		UNIT_TEST(enabling_a_pending_condition_sends_an_edge),
		UNIT_TEST(enabling_thri_while_empty_sends_an_edge_each_time),
		UNIT_TEST(reading_iir_clears_thri_once_reported),
		UNIT_TEST(reading_iir_leaves_thri_behind_a_higher_cause),
		UNIT_TEST(every_byte_sent_makes_the_transmitter_empty_anew),
		UNIT_TEST(conditions_that_remain_after_iir_send_an_edge),
		UNIT_TEST(causes_are_reported_by_priority),
	};
	const struct unit_case loopback_cases[] = {
		UNIT_TEST(loopback_sends_to_the_receiver_and_not_to_the_line),
		UNIT_TEST(loopback_turns_modem_outputs_into_inputs),
		UNIT_TEST(modem_deltas_are_cleared_by_reading),
		UNIT_TEST(loopback_keeps_the_line_out_until_it_ends),
		UNIT_TEST(loopback_holds_as_many_bytes_as_a_16550a),
	};
	const struct unit_case pressure_cases[] = {
		UNIT_TEST(thre_stays_clear_until_the_line_has_room),
		UNIT_TEST(byte_sent_regardless_still_reaches_the_line),
		UNIT_TEST(room_that_nobody_waited_for_changes_nothing),
	};
	const struct unit_group groups[] = {
		UNIT_GROUP("registers", register_cases,
			   serial_bed_setup, serial_bed_teardown),
		UNIT_GROUP("interrupts", interrupt_cases,
			   serial_bed_setup, serial_bed_teardown),
		UNIT_GROUP("loopback", loopback_cases,
			   serial_bed_setup, serial_bed_teardown),
		UNIT_GROUP("pressure", pressure_cases,
			   serial_bed_setup, serial_bed_teardown),
	};

	return unit_run("devices_serial", groups, UNIT_COUNT(groups));
}
