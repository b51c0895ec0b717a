/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A fuzz target: what libFuzzer and replay.c call.
 */
#ifndef WHERRY_TESTS_FUZZ_TARGET_H
#define WHERRY_TESTS_FUZZ_TARGET_H

#include <stddef.h>
#include <stdint.h>

/* The target's name, and that of its folder in tests/fuzz/corpus/. */
extern const char fuzz_target[];

/**
 * LLVMFuzzerTestOneInput() - feed one input to the code under test
 * @data: @len bytes, of any alignment, not to be kept
 *
 * What must not happen ends the process: abort(), or a sanitizer.
 *
 * Return: 0.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#endif
