/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Little-endian wire integers that cannot be used without a conversion.
 *
 * Each is a struct of its own, so that an assignment, comparison or sum that
 * forgets the byte order does not compile. Wire structs are made of these.
 */
#ifndef WHERRY_VIRTIO_ENDIAN_H
#define WHERRY_VIRTIO_ENDIAN_H

#include <endian.h>
#include <stdint.h>

typedef struct { uint16_t raw; } le16;
typedef struct { uint32_t raw; } le32;
typedef struct { uint64_t raw; } __attribute__((packed, aligned(4))) le64;

static inline uint16_t le16_get(le16 v) { return le16toh(v.raw); }
static inline uint32_t le32_get(le32 v) { return le32toh(v.raw); }
static inline uint64_t le64_get(le64 v) { return le64toh(v.raw); }

static inline le16 le16_make(uint16_t v) { return (le16){ htole16(v) }; }
static inline le32 le32_make(uint32_t v) { return (le32){ htole32(v) }; }
static inline le64 le64_make(uint64_t v) { return (le64){ htole64(v) }; }

#endif
