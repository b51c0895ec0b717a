// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Medians and tables. See report.h. Runs in the first process.
 *
 * A ratio is the median of the ratios of neighbouring rounds, so that what
 * else the machine does disturbs both.
 */
#include "tests/bench/report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/**
 * struct column - figures of some rounds
 * @count: how many
 * @value: sorted
 */
struct column {
	unsigned int count;
	double value[REPORT_ROUNDS_MAX];
};

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sort(struct column *c)
{
	qsort(c->value, c->count, sizeof(c->value[0]), compare);
}

static double median(const struct column *c)
{
	if (!c->count)
		return 0;
	return (c->value[(c->count - 1) / 2] + c->value[c->count / 2]) / 2;
}

static struct column values(const struct report_bed *bed)
{
	struct column c = { .count = bed->count };

	for (unsigned int i = 0; i < bed->count; i++)
		c.value[i] = bed->result[i].value;
	sort(&c);
	return c;
}

static struct column cpu(const struct report_bed *bed)
{
	struct column c = { .count = bed->count };

	for (unsigned int i = 0; i < bed->count; i++)
		c.value[i] = bed->result[i].cpu_s_per_gib;
	sort(&c);
	return c;
}

static struct column ratios(const struct report_bed *a,
			    const struct report_bed *b)
{
	struct column c = { 0 };

	for (unsigned int i = 0; i < a->count && i < b->count; i++)
		/* An idle peer may have used no time at all. */
		if (b->result[i].value > 0)
			c.value[c.count++] = a->result[i].value /
					     b->result[i].value;
	sort(&c);
	return c;
}

static const char *unit(const struct bench_measure *measure)
{
	switch (measure->kind) {
	case BENCH_TO_HOST:
	case BENCH_TO_GUEST:
	case BENCH_ECHO:
		return "MiB/s";
	case BENCH_PING:
		return "us";
	case BENCH_CONNECT_HOST:
	case BENCH_CONNECT_GUEST:
		return "1/s";
	case BENCH_IDLE:
		return "us/s";
	}
	return "";
}

void report_begin(const struct bench_options *options)
{
	if (options->json)
		return;
	printf("CPU %d, %u rounds, %u MiB a round, queues of %u.\n"
	       "A ratio of two rates; of two times for pingpong, where less is better.\n"
	       "cpu: seconds a GiB of the device process. spread: of the ratio.\n"
	       "idle-N: CPU us a second of the device process over %u ms, N connections open.\n\n",
	       options->cpu, options->rounds, options->mib,
	       options->queue_size, BENCH_IDLE_MS);
	printf("%-14s %9s %9s %9s %-5s | %9s %6s %11s %6s | %9s %6s %6s %6s\n",
	       "measure", "median", "min", "max", "unit", "AF_UNIX", "ratio",
	       "spread", "cpu", "peer", "ratio", "cpu", "ours/");
	fflush(stdout);
}

static void print_number(const char *name, const struct column *c)
{
	if (c->count)
		printf(", \"%s\": %.4g", name, median(c));
	else
		printf(", \"%s\": null", name);
}

static void print_json(const struct bench_measure *measure,
		       const struct report_bed beds[BED_KINDS])
{
	const struct report_bed *ours = &beds[BED_OURS];
	const struct report_bed *peer = &beds[BED_PEER];
	struct column v = values(ours), r = ratios(ours, &beds[BED_AF_UNIX]);
	struct column c = cpu(ours), p;

	printf("{\"measure\": \"%s\"", measure->name);
	if (v.count)
		printf(", \"median\": %.6g, \"min\": %.6g, \"max\": %.6g",
		       median(&v), v.value[0], v.value[v.count - 1]);
	else
		printf(", \"median\": null, \"min\": null, \"max\": null");
	printf(", \"unit\": \"%s\"", unit(measure));
	print_number("af_unix_ratio", &r);
	if (c.count && c.value[0] <= 0)
		c.count = 0;
	print_number("cpu_s_per_gib", &c);
	if (ours->status)
		printf(", \"status\": \"%s\"", ours->status);
	if (peer->count) {
		p = ratios(ours, peer);
		print_number("peer_ratio", &p);
		p = ratios(peer, &beds[BED_AF_UNIX]);
		print_number("peer_af_unix_ratio", &p);
	}
	if (peer->status)
		printf(", \"peer_status\": \"%s\"", peer->status);
	printf("}\n");
}

static void print_cpu(const struct report_bed *bed)
{
	struct column c = cpu(bed);

	if (c.count && median(&c) > 0)
		printf(" %6.3f", median(&c));
	else
		printf(" %6s", "-");
}

static void print_peer(const struct report_bed *peer, const struct column *p,
		       const struct column *to_raw, const struct column *ours)
{
	printf(" %9.1f", median(p));
	if (to_raw->count)
		printf(" %6.2f", median(to_raw));
	else
		printf(" %6s", "-");
	print_cpu(peer);
	if (ours->count)
		printf(" %6.2f", median(ours));
}

static void print_line(const struct bench_measure *measure,
		       const struct report_bed beds[BED_KINDS])
{
	const struct report_bed *ours = &beds[BED_OURS];
	const struct report_bed *peer = &beds[BED_PEER];
	const struct report_bed *raw = &beds[BED_AF_UNIX];
	struct column v = values(ours), u = values(raw), r = ratios(ours, raw);
	struct column p = values(peer), pr = ratios(peer, raw);
	struct column op = ratios(ours, peer);

	printf("%-14s", measure->name);
	if (v.count)
		printf(" %9.1f %9.1f %9.1f", median(&v), v.value[0],
		       v.value[v.count - 1]);
	else
		printf(" %9s %9s %9s", "-", "-", "-");
	printf(" %-5s |", unit(measure));
	if (r.count)
		printf(" %9.1f %6.2f  %4.2f-%4.2f", median(&u), median(&r),
		       r.value[0], r.value[r.count - 1]);
	else
		printf(" %9s %6s %11s", "-", "-", "-");
	print_cpu(ours);
	printf(" |");
	if (p.count) {
		print_peer(peer, &p, &pr, &op);
	}
	if (ours->status)
		printf(" OURS: %s", ours->status);
	if (peer->status)
		printf(" peer: %s", peer->status);
	printf("\n");
}

void report_measure(const struct bench_options *options,
		    const struct bench_measure *measure,
		    const struct report_bed beds[BED_KINDS])
{
	if (options->json)
		print_json(measure, beds);
	else
		print_line(measure, beds);
	fflush(stdout);
}
