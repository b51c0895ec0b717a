/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What follows --vsock.
 */
#ifndef WHERRY_VMM_OPTION_VSOCK_H
#define WHERRY_VMM_OPTION_VSOCK_H

#include "virtio/fail.h"
#include "vmm/machine.h"

/**
 * option_vsock() - read `cid=N,uds=PATH,...`
 * @text: after --vsock
 * @out: filled in; option_vsock_free() it in any case
 *
 * Return: 0, -EINVAL or -ENOMEM; the reason names the key and its value.
 */
int option_vsock(const char *text, struct vsock_options *out,
		 struct fail *why);
/** option_vsock_free() - safe on a zeroed struct */
void option_vsock_free(struct vsock_options *options);

#endif
