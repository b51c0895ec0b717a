// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * AML encoder; see acpi_aml.h. Called by acpi.c. Sections are of ACPI 6.5.
 *
 * A package (scope, device, buffer, ...) starts with its own length, in one to
 * four bytes that count themselves. aml_begin_*() therefore writes no length
 * at all, and aml_end() moves the content up to make room for the shortest
 * one. Inner packages end before outer ones, so their marks stay right.
 */
#include <string.h>

#include "vmm/x86_64/acpi_aml.h"

/* 20.3, opcodes. */
#define OP_ZERO		0x00
#define OP_ONE		0x01
#define OP_NAME		0x08
#define OP_BYTE		0x0a
#define OP_WORD		0x0b
#define OP_DWORD	0x0c
#define OP_STRING	0x0d
#define OP_QWORD	0x0e
#define OP_SCOPE	0x10
#define OP_BUFFER	0x11
#define OP_PACKAGE	0x12
#define OP_METHOD	0x14
#define OP_EXT		0x5b
#define OP_LOCAL0	0x60
#define OP_STORE	0x70
#define OP_AND		0x7b
#define OP_NOTIFY	0x86
#define OP_IF		0xa0
#define OP_EXT_REGION	0x80
#define OP_EXT_FIELD	0x81
#define OP_EXT_DEVICE	0x82
/* 20.2.5.2: address space, flags of a field and of a method. */
#define SPACE_MEMORY	0x00
#define FIELD_DWORD	0x03	/* no lock; what is not written is kept */
#define METHOD_SERIAL	0x08
/* 20.2.2, name prefixes. */
#define PREFIX_DUAL	0x2e
#define PREFIX_MULTI	0x2f
#define SEGMENT		4u
/* 6.4.2 and 6.4.3, resource descriptors. */
#define RES_IO		0x47
#define RES_END		0x79
#define RES_MEMORY32	0x86
#define RES_INTERRUPT	0x89
#define RES_CONSUMER	(1u << 0)
#define RES_EDGE	(1u << 1)

void aml_init(struct aml *aml, void *data, size_t size)
{
	aml->data = data;
	aml->size = size;
	aml->len = 0;
	aml->overflow = false;
}

void aml_bytes(struct aml *aml, const void *bytes, size_t len)
{
	if (aml->overflow || len > aml->size - aml->len) {
		aml->overflow = true;
		return;
	}
	memcpy(aml->data + aml->len, bytes, len);
	aml->len += len;
}

void aml_u8(struct aml *aml, uint8_t value)
{
	aml_bytes(aml, &value, 1);
}

void aml_u16(struct aml *aml, uint16_t value)
{
	aml_u8(aml, (uint8_t)value);
	aml_u8(aml, (uint8_t)(value >> 8));
}

void aml_u32(struct aml *aml, uint32_t value)
{
	aml_u16(aml, (uint16_t)value);
	aml_u16(aml, (uint16_t)(value >> 16));
}

void aml_u64(struct aml *aml, uint64_t value)
{
	aml_u32(aml, (uint32_t)value);
	aml_u32(aml, (uint32_t)(value >> 32));
}

static void insert(struct aml *aml, size_t at, const uint8_t *bytes,
		   size_t len)
{
	if (aml->overflow || len > aml->size - aml->len) {
		aml->overflow = true;
		return;
	}
	memmove(aml->data + at + len, aml->data + at, aml->len - at);
	memcpy(aml->data + at, bytes, len);
	aml->len += len;
}

/* 20.2.2: short segments are filled up with '_'. */
void aml_path(struct aml *aml, const char *path)
{
	const char *p = path;
	uint8_t segments = 1;

	if (*p == '\\') {
		aml_u8(aml, '\\');
		p++;
	}
	for (const char *c = p; *c; c++)
		segments = (uint8_t)(segments + (*c == '.'));
	if (segments == 2) {
		aml_u8(aml, PREFIX_DUAL);
	} else if (segments > 2) {
		aml_u8(aml, PREFIX_MULTI);
		aml_u8(aml, segments);
	}
	while (segments--) {
		size_t len = strcspn(p, ".");

		aml_bytes(aml, p, len);
		while (len < SEGMENT) {
			aml_u8(aml, '_');
			len++;
		}
		p += strcspn(p, ".");
		p += *p == '.';
	}
}

/* 20.2.3 */
void aml_integer(struct aml *aml, uint64_t value)
{
	if (value == 0) {
		aml_u8(aml, OP_ZERO);
	} else if (value == 1) {
		aml_u8(aml, OP_ONE);
	} else if (value <= UINT8_MAX) {
		aml_u8(aml, OP_BYTE);
		aml_u8(aml, (uint8_t)value);
	} else if (value <= UINT16_MAX) {
		aml_u8(aml, OP_WORD);
		aml_u16(aml, (uint16_t)value);
	} else if (value <= UINT32_MAX) {
		aml_u8(aml, OP_DWORD);
		aml_u32(aml, (uint32_t)value);
	} else {
		aml_u8(aml, OP_QWORD);
		aml_u64(aml, value);
	}
}

void aml_string(struct aml *aml, const char *text)
{
	aml_u8(aml, OP_STRING);
	aml_bytes(aml, text, strlen(text) + 1);
}

static uint32_t hex_digit(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'A' + 10);
}

/*
 * 6.1.5: three letters of five bits, four hexadecimal digits, and the whole
 * the other way round in memory.
 */
void aml_eisa_id(struct aml *aml, const char *id)
{
	uint32_t value = 0;

	for (unsigned int i = 0; i < 3; i++)
		value = value << 5 | (uint32_t)(id[i] - '@');
	for (unsigned int i = 3; i < 7; i++)
		value = value << 4 | hex_digit(id[i]);
	aml_integer(aml, __builtin_bswap32(value));
}

void aml_name(struct aml *aml, const char *path)
{
	aml_u8(aml, OP_NAME);
	aml_path(aml, path);
}

size_t aml_begin_scope(struct aml *aml, const char *path)
{
	size_t mark;

	aml_u8(aml, OP_SCOPE);
	mark = aml->len;
	aml_path(aml, path);
	return mark;
}

size_t aml_begin_device(struct aml *aml, const char *name)
{
	size_t mark;

	aml_u8(aml, OP_EXT);
	aml_u8(aml, OP_EXT_DEVICE);
	mark = aml->len;
	aml_path(aml, name);
	return mark;
}

size_t aml_begin_package(struct aml *aml, uint8_t count)
{
	size_t mark;

	aml_u8(aml, OP_PACKAGE);
	mark = aml->len;
	aml_u8(aml, count);
	return mark;
}

size_t aml_begin_method(struct aml *aml, const char *name, uint8_t arguments)
{
	size_t mark;

	aml_u8(aml, OP_METHOD);
	mark = aml->len;
	aml_path(aml, name);
	aml_u8(aml, (uint8_t)(METHOD_SERIAL | arguments));
	return mark;
}

void aml_register(struct aml *aml, const char *region, const char *field,
		  uint32_t base)
{
	size_t mark;

	aml_u8(aml, OP_EXT);
	aml_u8(aml, OP_EXT_REGION);
	aml_path(aml, region);
	aml_u8(aml, SPACE_MEMORY);
	aml_integer(aml, base);
	aml_integer(aml, 4);
	aml_u8(aml, OP_EXT);
	aml_u8(aml, OP_EXT_FIELD);
	mark = aml->len;
	aml_path(aml, region);
	aml_u8(aml, FIELD_DWORD);
	aml_path(aml, field);
	aml_u8(aml, 32);		/* bits, as a package length of 1 byte */
	aml_end(aml, mark);
}

void aml_load(struct aml *aml, const char *name)
{
	aml_u8(aml, OP_STORE);
	aml_path(aml, name);
	aml_u8(aml, OP_LOCAL0);
}

size_t aml_begin_if(struct aml *aml, uint32_t mask)
{
	size_t mark;

	aml_u8(aml, OP_IF);
	mark = aml->len;
	aml_u8(aml, OP_AND);
	aml_u8(aml, OP_LOCAL0);
	aml_integer(aml, mask);
	aml_u8(aml, OP_ZERO);		/* the result is kept nowhere */
	return mark;
}

void aml_notify(struct aml *aml, const char *device, uint8_t value)
{
	aml_u8(aml, OP_NOTIFY);
	aml_path(aml, device);
	aml_integer(aml, value);
}

/*
 * 20.2.4: up to 63 in one byte; else the first holds how many follow and the
 * lowest four bits.
 */
void aml_end(struct aml *aml, size_t mark)
{
	uint8_t bytes[4];
	size_t content = aml->len - mark, total, more;

	if (content + 1 <= 0x3f) {
		bytes[0] = (uint8_t)(content + 1);
		insert(aml, mark, bytes, 1);
		return;
	}
	more = content + 2 <= 0xfff ? 1 : content + 3 <= 0xfffff ? 2 : 3;
	total = content + 1 + more;
	bytes[0] = (uint8_t)(more << 6 | (total & 0xf));
	for (size_t i = 1; i <= more; i++)
		bytes[i] = (uint8_t)(total >> (4 + 8 * (i - 1)));
	insert(aml, mark, bytes, 1 + more);
}

size_t aml_begin_template(struct aml *aml)
{
	aml_u8(aml, OP_BUFFER);
	return aml->len;
}

/* 6.4.3.4 */
void aml_memory32(struct aml *aml, uint32_t base, uint32_t size)
{
	aml_u8(aml, RES_MEMORY32);
	aml_u16(aml, 9);
	aml_u8(aml, 1);		/* read and write */
	aml_u32(aml, base);
	aml_u32(aml, size);
}

/* 6.4.2.5 */
void aml_io(struct aml *aml, uint16_t port, uint8_t size)
{
	aml_u8(aml, RES_IO);
	aml_u8(aml, 1);		/* 16 address bits are decoded */
	aml_u16(aml, port);
	aml_u16(aml, port);
	aml_u8(aml, 1);		/* alignment */
	aml_u8(aml, size);
}

/* 6.4.3.6; in both: active high, exclusive. */
static void put_interrupt(struct aml *aml, uint32_t gsi, uint8_t flags)
{
	aml_u8(aml, RES_INTERRUPT);
	aml_u16(aml, 6);
	aml_u8(aml, flags);
	aml_u8(aml, 1);		/* one of them */
	aml_u32(aml, gsi);
}

void aml_interrupt(struct aml *aml, uint32_t gsi)
{
	put_interrupt(aml, gsi, RES_CONSUMER | RES_EDGE);
}

void aml_interrupt_level(struct aml *aml, uint32_t gsi)
{
	put_interrupt(aml, gsi, RES_CONSUMER);
}

void aml_end_template(struct aml *aml, size_t mark)
{
	uint8_t bytes[9];
	struct aml size;

	aml_u8(aml, RES_END);
	aml_u8(aml, 0);		/* no checksum */
	aml_init(&size, bytes, sizeof(bytes));
	aml_integer(&size, aml->len - mark);
	insert(aml, mark, bytes, size.len);
	aml_end(aml, mark);
}
