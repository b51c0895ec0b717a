/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * JSON for people: tables.
 */
#ifndef WHERRY_VMM_CTL_TABLE_H
#define WHERRY_VMM_CTL_TABLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/**
 * ctl_print() - print a result
 * @result: an object, usually
 * @pretty: for people: an object's members line by line, an array of objects
 *     as columns, numbers with their units; nothing for an empty object.
 *     Else one line of JSON
 *
 * Return: 0 or negative errno: it could not be written.
 */
int ctl_print(FILE *out, json_t *result, bool pretty);

/* Room for ctl_bytes_text(). */
#define CTL_BYTES_TEXT 32

/** ctl_bytes_text() - a size for people: "1.5 GiB". Return: @text */
const char *ctl_bytes_text(uint64_t bytes, char text[CTL_BYTES_TEXT]);

/** ctl_is_printable() - may @text go to a terminal, or would it be an order? */
bool ctl_is_printable(const char *text);

#endif
