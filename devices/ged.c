// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Generic event device: owns the set of events that the guest has not read.
 *
 * Raised by the machine on the loop thread; read by the guest's _EVT method
 * (vmm/x86_64/acpi.c) on a vCPU thread. ged->lock keeps the interrupt line in
 * step with the set.
 *
 * The interrupt is level-triggered, unlike those of our other devices: an edge
 * that comes before the guest's driver has asked for it is lost, and so is one
 * that was on its way when a snapshot was taken. A level follows from the
 * saved set.
 */
#include "devices/ged.h"

#include <string.h>

static const struct state_field fields[] = {
	STATE_VALUE(struct ged, pending, "pending", 0, GED_EVENTS_ALL),
};
static const struct state_table ged_state = STATE_TABLE(fields, 1);

void ged_init(struct ged *ged, void (*line)(void *opaque, bool high),
	      void *opaque)
{
	pthread_mutex_init(&ged->lock, NULL);
	ged->pending = 0;
	ged->line = line;
	ged->opaque = opaque;
}

void ged_destroy(struct ged *ged)
{
	pthread_mutex_destroy(&ged->lock);
}

static void set_pending(struct ged *ged, uint32_t pending)
{
	ged->pending = pending;
	ged->line(ged->opaque, pending != 0);
}

void ged_raise(struct ged *ged, uint32_t events)
{
	pthread_mutex_lock(&ged->lock);
	set_pending(ged, ged->pending | events);
	pthread_mutex_unlock(&ged->lock);
}

void ged_read(void *opaque, uint64_t offset, void *data, unsigned int len)
{
	struct ged *ged = opaque;
	uint8_t *to = data;

	memset(data, 0, len);
	if (offset != 0 || len != GED_SIZE)
		return;
	pthread_mutex_lock(&ged->lock);
	for (unsigned int i = 0; i < GED_SIZE; i++)
		to[i] = (uint8_t)(ged->pending >> (8 * i));
	set_pending(ged, 0);
	pthread_mutex_unlock(&ged->lock);
}

void ged_write(void *opaque, uint64_t offset, const void *data,
	       unsigned int len)
{
	(void)opaque;
	(void)offset;
	(void)data;
	(void)len;
}

void ged_save(struct ged *ged, struct state_writer *w)
{
	state_put(w, &ged_state, ged);
}

int ged_load(struct ged *ged, struct state_node *node, struct fail *why)
{
	struct ged loaded = { 0 };
	int err = state_get(node, &ged_state, &loaded, why);

	if (err)
		return err;
	pthread_mutex_lock(&ged->lock);
	set_pending(ged, loaded.pending);
	pthread_mutex_unlock(&ged->lock);
	return 0;
}
