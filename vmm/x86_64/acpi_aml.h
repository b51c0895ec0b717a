/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A small AML encoder (ACPI 6.5, chapter 20): just what our DSDT is made of.
 *
 * Pure: writes into a buffer of the caller's. Running out of room is
 * remembered, so that only the end needs a check. Private to x86_64/.
 */
#ifndef WHERRY_VMM_X86_64_ACPI_AML_H
#define WHERRY_VMM_X86_64_ACPI_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * struct aml - bytes being written
 * @data: the buffer
 * @size: its size, bytes
 * @len: how many are written
 * @overflow: there was no room; everything since is lost
 */
struct aml {
	uint8_t *data;
	size_t size;
	size_t len;
	bool overflow;
};

void aml_init(struct aml *aml, void *data, size_t size);

/* Plain little-endian bytes, as ACPI tables too are made of. */
void aml_bytes(struct aml *aml, const void *bytes, size_t len);
void aml_u8(struct aml *aml, uint8_t value);
void aml_u16(struct aml *aml, uint16_t value);
void aml_u32(struct aml *aml, uint32_t value);
void aml_u64(struct aml *aml, uint64_t value);

/**
 * aml_path() - a name: segments of 1 .. 4 characters, '.' between, '\' first
 */
void aml_path(struct aml *aml, const char *path);
/** aml_integer() - in the shortest form */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);
/** aml_eisa_id() - an id such as "PNP0501" as the integer it stands for */
void aml_eisa_id(struct aml *aml, const char *id);
/** aml_name() - Name(@path, ...): the object follows */
void aml_name(struct aml *aml, const char *path);

/**
 * aml_begin_scope() - Scope(@path) {
 * Return: a mark for the aml_end() that closes it; likewise below.
 */
size_t aml_begin_scope(struct aml *aml, const char *path);
/** aml_begin_device() - Device(@name) { */
size_t aml_begin_device(struct aml *aml, const char *name);
/** aml_begin_package() - Package(@count) { */
size_t aml_begin_package(struct aml *aml, uint8_t count);
/** aml_begin_method() - Method(@name, @arguments, Serialized) { */
size_t aml_begin_method(struct aml *aml, const char *name,
			uint8_t arguments);
/**
 * aml_register() - OperationRegion(@region, SystemMemory, @base, 4), all of it
 * one field @field of 32 bits
 */
void aml_register(struct aml *aml, const char *region, const char *field,
		  uint32_t base);
/** aml_load() - Local0 = @name */
void aml_load(struct aml *aml, const char *name);
/** aml_begin_if() - If (Local0 & @mask) { */
size_t aml_begin_if(struct aml *aml, uint32_t mask);
/** aml_notify() - Notify(@device, @value) */
void aml_notify(struct aml *aml, const char *device, uint8_t value);
/** aml_end() - } */
void aml_end(struct aml *aml, size_t mark);

/** aml_begin_template() - ResourceTemplate() { */
size_t aml_begin_template(struct aml *aml);
/** aml_memory32() - Memory32Fixed(ReadWrite, @base, @size) */
void aml_memory32(struct aml *aml, uint32_t base, uint32_t size);
/** aml_io() - IO(Decode16, @port, @port, 1, @size) */
void aml_io(struct aml *aml, uint16_t port, uint8_t size);
/** aml_interrupt() - Interrupt(Consumer, Edge, ActiveHigh, Exclusive) */
void aml_interrupt(struct aml *aml, uint32_t gsi);
/** aml_interrupt_level() - Interrupt(Consumer, Level, ActiveHigh, Exclusive) */
void aml_interrupt_level(struct aml *aml, uint32_t gsi);
void aml_end_template(struct aml *aml, size_t mark);

#endif
