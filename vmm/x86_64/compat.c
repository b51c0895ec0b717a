// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What becomes of differences between the CPU of saved state and this one.
 *
 * Called by what loads saved state, on the loop thread. Owns nothing.
 */
#include "devices/log.h"
#include "vmm/x86_64/x86.h"

int x86_forced(const struct vcpu *vcpu, int err, const struct fail *why)
{
	if (!err || !vcpu->vm->force)
		return err;
	if (vcpu->id == 0)
		log_warn("--force: going on although %s", why->text);
	return 0;
}
