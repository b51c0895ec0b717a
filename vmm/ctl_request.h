/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The words of `wherry ctl` as a request.
 */
#ifndef WHERRY_VMM_CTL_REQUEST_H
#define WHERRY_VMM_CTL_REQUEST_H

#include "vmm/ctl.h"

/**
 * ctl_make_request() - what to send
 * @o: with a command
 * @id: of the request
 *
 * Return: a new object; NULL with the reason: the words are wrong.
 */
json_t *ctl_make_request(const struct ctl_options *o, int id,
			 struct fail *why);

#endif
