/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be asked of a machine on its control socket.
 */
#ifndef WHERRY_VMM_COMMANDS_H
#define WHERRY_VMM_COMMANDS_H

#include "vmm/control.h"

/**
 * machine_commands - the commands; their opaque is a struct monitor
 */
extern const struct control_command machine_commands[];

#endif
