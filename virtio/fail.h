/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why something failed, carried up to whoever can say it to a person.
 */
#ifndef WHERRY_VIRTIO_FAIL_H
#define WHERRY_VIRTIO_FAIL_H

#define FAIL_TEXT_MAX 512

/**
 * struct fail - the reason of a failure, one line without a newline
 * @text: empty until fail() writes it; cut at FAIL_TEXT_MAX - 1 bytes
 */
struct fail {
	char text[FAIL_TEXT_MAX];
};

/**
 * fail() - record a reason and hand back the error
 * @why: where the reason goes; NULL throws it away
 * @err: negative errno
 * @fmt: names the thing, the value and what was expected
 *
 * Return: @err, so that `return fail(why, -EINVAL, ...)` is one statement.
 * Context: any thread; @why belongs to the caller.
 */
int fail(struct fail *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/**
 * fail_within() - put what was being done in front of the reason
 * @why: a reason written by fail()
 * @err: negative errno, handed through
 * @fmt: the context; ": " is added
 *
 * Return: @err.
 */
int fail_within(struct fail *why, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
