// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The manifest of a snapshot, and CRC32C.
 *
 * Called by snapshot.c; pure functions, any thread, no locks, no files.
 *
 * The text is hostile input. It is judged in this order, so that the reason
 * given is the true one: is it a manifest at all; of a version known here
 * (what follows the first line may differ in others); whole, by its own CRC;
 * and only then line by line.
 */
#include "vmm/manifest.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define FIRST_WORD	"wherry-snapshot "
#define CRC_WORD	"crc "
/* "crc 01234567\n" */
#define CRC_LINE	13u

/* RFC 3720, B.4: 0x1edc6f41, bits reversed. */
#define CRC32C_POLYNOMIAL	0x82f63b78u

/*
 * A question about the compiler, not the architecture: only where it is true
 * can __builtin_cpu_supports("sse4.2") be asked. (GCC names the builtin only
 * with -msse4.2, clang has the header everywhere.)
 */
#if __has_include(<nmmintrin.h>) && \
	(!defined(__clang__) || __has_builtin(__builtin_ia32_crc32di))
#define HAVE_SSE42 1
#else
#define HAVE_SSE42 0
#endif

/* Each nibble's remainder. For machines without the instruction. */
static uint32_t crc_bytes(uint32_t crc, const uint8_t *p, size_t len)
{
	static const uint32_t table[16] = {
		0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1,
		0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
		0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
		0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
	};

	while (len--) {
		crc ^= *p++;
		crc = crc >> 4 ^ table[crc & 15];
		crc = crc >> 4 ^ table[crc & 15];
	}
	return crc;
}

#if HAVE_SSE42
__attribute__((target("sse4.2")))
static uint32_t crc_words(uint32_t crc, const uint8_t *p, size_t len)
{
	uint64_t wide = crc;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		wide = __builtin_ia32_crc32di(wide, word);
		p += sizeof(word);
	}
	return crc_bytes((uint32_t)wide, p, len);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
#if HAVE_SSE42
	if (__builtin_cpu_supports("sse4.2"))
		return ~crc_words(~crc, data, len);
#endif
	return ~crc_bytes(~crc, data, len);
}

/* a * b modulo the polynomial; bit 31 is x^0, as everywhere here. a != 0. */
static uint32_t crc_multiply(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a; a <<= 1) {
		if (a & UINT32_C(1) << 31)
			product ^= b;
		b = b >> 1 ^ (b & 1 ? CRC32C_POLYNOMIAL : 0);
	}
	return product;
}

uint32_t crc32c_zeros(uint32_t crc, uint64_t len)
{
	/* A zero byte multiplies the remainder by x^8. */
	uint32_t square = UINT32_C(1) << (31 - 8);
	uint32_t power = UINT32_C(1) << 31;

	for (; len; len >>= 1) {
		if (len & 1)
			power = crc_multiply(square, power);
		square = crc_multiply(square, square);
	}
	return ~crc_multiply(power, ~crc);
}

static bool lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool arch_valid(const char *arch)
{
	for (const char *p = arch; *p; p++)
		if (!lower(*p) && *p != '_')
			return false;
	return *arch;
}

/* No slash, no leading dot: never leaves the folder. */
static bool name_valid(const char *name)
{
	if (!lower(*name))
		return false;
	for (const char *p = name; *p; p++)
		if (!lower(*p) && !strchr("._-", *p))
			return false;
	return strlen(name) <= MANIFEST_WORD_MAX;
}

const struct manifest_file *manifest_find_file(const struct manifest *m,
					       const char *name)
{
	for (unsigned int i = 0; i < m->files; i++)
		if (!strcmp(m->file[i].name, name))
			return &m->file[i];
	return NULL;
}

void manifest_add_file(struct manifest *m, const char *name, uint64_t length,
		       uint32_t crc)
{
	struct manifest_file *file = &m->file[m->files];

	assert(m->files < MANIFEST_FILES_MAX);
	assert(name_valid(name) && !manifest_find_file(m, name));
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->length = length;
	file->crc = crc;
	m->files++;
}

static bool append(char *text, size_t size, size_t *used, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static bool append(char *text, size_t size, size_t *used, const char *fmt, ...)
{
	va_list args;
	int ret;

	va_start(args, fmt);
	ret = vsnprintf(text + *used, size - *used, fmt, args);
	va_end(args);
	if (ret < 0 || (size_t)ret >= size - *used)
		return false;
	*used += ret;
	return true;
}

int manifest_format(const struct manifest *m, char *text, size_t size)
{
	size_t used = 0;
	bool ok;

	ok = append(text, size, &used, FIRST_WORD "%u\n", MANIFEST_VERSION);
	ok = ok && append(text, size, &used, "arch %s\n", m->arch);
	ok = ok && append(text, size, &used, "memory-size %" PRIu64 "\n",
			  m->memory_size);
	for (unsigned int i = 0; i < m->files; i++)
		ok = ok && append(text, size, &used,
				  "file %s %" PRIu64 " %08" PRIx32 "\n",
				  m->file[i].name, m->file[i].length,
				  m->file[i].crc);
	ok = ok && append(text, size, &used, CRC_WORD "%08" PRIx32 "\n",
			  crc32c(0, text, used));
	return ok ? (int)used : -ENOSPC;
}

/**
 * struct cursor - what is left of the text, and of its current line
 * @next: the line after
 * @end: of the text
 * @at: next byte of the line
 * @stop: its newline
 * @line: its number, from 1
 */
struct cursor {
	const char *next;
	const char *end;
	const char *at;
	const char *stop;
	unsigned int line;
};

/* The text ends with a newline, so every line has one. */
static bool next_line(struct cursor *c)
{
	if (c->next == c->end)
		return false;
	c->at = c->next;
	c->stop = memchr(c->at, '\n', c->end - c->at);
	c->next = c->stop + 1;
	c->line++;
	return true;
}

static bool take_text(struct cursor *c, const char *text)
{
	size_t len = strlen(text);

	if ((size_t)(c->stop - c->at) < len || memcmp(c->at, text, len))
		return false;
	c->at += len;
	return true;
}

/* Up to a space or the end of the line; 1 .. MANIFEST_WORD_MAX bytes. */
static bool take_word(struct cursor *c, char word[MANIFEST_WORD_MAX + 1])
{
	size_t len = 0;

	while (c->at + len < c->stop && c->at[len] != ' ') {
		if (len == MANIFEST_WORD_MAX)
			return false;
		word[len] = c->at[len];
		len++;
	}
	word[len] = '\0';
	c->at += len;
	/* A NUL inside makes it shorter, so that the line does not fit. */
	return len && strlen(word) == len;
}

static bool take_number(struct cursor *c, uint64_t *value)
{
	const char *start = c->at;

	*value = 0;
	for (; c->at < c->stop && *c->at >= '0' && *c->at <= '9'; c->at++)
		if (__builtin_mul_overflow(*value, 10, value) ||
		    __builtin_add_overflow(*value, *c->at - '0', value))
			return false;
	return c->at > start && (*start != '0' || c->at == start + 1);
}

static bool take_crc(struct cursor *c, uint32_t *crc)
{
	*crc = 0;
	for (unsigned int i = 0; i < 8; i++) {
		const char *digits = "0123456789abcdef";
		const char *digit;

		if (c->at == c->stop || !*c->at)
			return false;
		digit = strchr(digits, *c->at++);
		if (!digit)
			return false;
		*crc = *crc << 4 | (uint32_t)(digit - digits);
	}
	return true;
}

static bool line_done(const struct cursor *c)
{
	return c->at == c->stop;
}

bool manifest_is_ours(const char *text, size_t len)
{
	return len >= strlen(FIRST_WORD) &&
	       !memcmp(text, FIRST_WORD, strlen(FIRST_WORD));
}

static int parse_version(struct cursor *c, struct fail *why)
{
	uint64_t version;

	if (!manifest_is_ours(c->next, c->end - c->next))
		return fail(why, -EINVAL, "line 1: \"" FIRST_WORD
			    "%u\" expected", MANIFEST_VERSION);
	if (c->end[-1] != '\n')
		return fail(why, -EINVAL, "cut off: no newline at the end");
	next_line(c);
	if (!take_text(c, FIRST_WORD) || !take_number(c, &version) ||
	    !line_done(c))
		return fail(why, -EINVAL, "line 1: no version number");
	if (version != MANIFEST_VERSION)
		return fail(why, -ENOTSUP, "line 1: snapshot format %" PRIu64
			    ", this program reads format %u", version,
			    MANIFEST_VERSION);
	return 0;
}

/* Takes the last line off the text. */
static int parse_crc(struct cursor *c, const char *text, struct fail *why)
{
	struct cursor last = { .next = c->end - CRC_LINE, .end = c->end };
	uint32_t found, crc;

	/* The first line is longer than this one: no need to look back. */
	if (c->end - c->next < (ptrdiff_t)CRC_LINE || last.next[-1] != '\n' ||
	    !next_line(&last) || !take_text(&last, CRC_WORD) ||
	    !take_crc(&last, &found) || !line_done(&last))
		return fail(why, -EINVAL, "cut off: last line: \"" CRC_WORD
			    "\" and 8 hex digits expected");
	c->end -= CRC_LINE;
	crc = crc32c(0, text, c->end - text);
	if (crc != found)
		return fail(why, -EBADMSG, "damaged: CRC32C is %08" PRIx32
			    ", the last line says %08" PRIx32, crc, found);
	return 0;
}

static int parse_file(struct cursor *c, struct manifest *m, struct fail *why)
{
	struct manifest_file *file = &m->file[m->files];

	if (m->files == MANIFEST_FILES_MAX)
		return fail(why, -EINVAL, "line %u: more than %u files",
			    c->line, MANIFEST_FILES_MAX);
	if (!take_text(c, "file ") || !take_word(c, file->name) ||
	    !name_valid(file->name) || !take_text(c, " ") ||
	    !take_number(c, &file->length) || !take_text(c, " ") ||
	    !take_crc(c, &file->crc) || !line_done(c))
		return fail(why, -EINVAL,
			    "line %u: \"file NAME LENGTH CRC32C\" expected",
			    c->line);
	if (manifest_find_file(m, file->name))
		return fail(why, -EINVAL, "line %u: %s for the second time",
			    c->line, file->name);
	m->files++;
	return 0;
}

static int parse_lines(struct cursor *c, struct manifest *m, struct fail *why)
{
	int ret;

	if (!next_line(c) || !take_text(c, "arch ") ||
	    !take_word(c, m->arch) || !arch_valid(m->arch) || !line_done(c))
		return fail(why, -EINVAL, "line 2: \"arch NAME\" expected");
	if (!next_line(c) || !take_text(c, "memory-size ") ||
	    !take_number(c, &m->memory_size) || !line_done(c))
		return fail(why, -EINVAL,
			    "line 3: \"memory-size BYTES\" expected");
	while (next_line(c)) {
		ret = parse_file(c, m, why);
		if (ret)
			return ret;
	}
	if (!m->files)
		return fail(why, -EINVAL, "no \"file\" line");
	return 0;
}

int manifest_parse(const char *text, size_t len, struct manifest *m,
		   struct fail *why)
{
	struct cursor c = { .next = text, .end = text + len };
	int ret;

	memset(m, 0, sizeof(*m));
	if (len > MANIFEST_SIZE_MAX)
		return fail(why, -EINVAL, "%zu bytes long: at most %u", len,
			    MANIFEST_SIZE_MAX);
	ret = parse_version(&c, why);
	if (!ret)
		ret = parse_crc(&c, text, why);
	if (!ret)
		ret = parse_lines(&c, m, why);
	if (ret)
		memset(m, 0, sizeof(*m));
	return ret;
}
