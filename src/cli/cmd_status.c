/* SPDX-License-Identifier: MIT */
/* status: one screen: whether the data is safe, what it survives right now, what is due, and
 * the command that comes next.
 */
#include "cli/command.h"
#include "cli/print.h"
#include "cli/session.h"

#include "archive/archive.h"
#include "archive/safety.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/json_build.h"
#include "base/size.h"
#include "base/text.h"
#include "base/timestamp.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

static const char *age(int64_t time, int64_t now, char text[TIMESTAMP_TEXT_MAX])
{
	if (time == 0)
		return "never";
	return duration_format(now > time ? (uint64_t)(now - time) : 0, text);
}

/* ---- for people ---- */

static void print_verdict(const struct safety *safety)
{
	switch (safety->verdict) {
	case SAFETY_SAFE:
		(void)puts("SAFE      all of it was verified, and nothing is wrong");
		break;
	case SAFETY_DUE:
		(void)puts("DUE       nothing is known to be wrong, but not all of it is "
			   "known");
		break;
	case SAFETY_DAMAGED:
		(void)printf("DAMAGED   %" PRIu64
			     " places, all of which can be repaired\n",
			     safety->damaged);
		break;
	case SAFETY_LOST:
		(void)puts("LOST      something is beyond repair");
		break;
	}
}

/* To the byte, since nobody else says it. */
static void print_outer(const struct safety *safety)
{
	const struct outer_totals *outer = &safety->outer;
	char code[CONFIG_CODE_TEXT_MAX];
	char size[SIZE_TEXT_MAX];

	if (outer->protected_size > 0)
		(void)printf("          and of any %u volumes, for %" PRIu64
			     " bytes (%s)%s%s\n",
			     safety->code.data ? safety->code.parity : 1,
			     outer->protected_size,
			     size_format(outer->protected_size, size),
			     safety->code.data ? ": outer code " : "",
			     config_code_format(&safety->code, code));
	(void)size_format(outer->unprotected_size, size);
	if (outer->unprotected_size > 0 && safety->copies > 1)
		(void)printf(
			"          in no group yet, and kept by copies alone: %" PRIu64
			" bytes (%s)\n",
			outer->unprotected_size, size);
	else if (outer->unprotected_size > 0)
		(void)printf("          not the loss of a volume: %" PRIu64
			     " bytes (%s) are on one volume each\n",
			     outer->unprotected_size, size);
	if (outer->incomplete > 0)
		(void)printf("          %" PRIu64 " groups lack parity\n",
			     outer->incomplete);
}

/* Small volumes have their stripes' parity, and no more is due. */
static void print_burst(const struct safety *safety)
{
	const struct burst_totals *burst = &safety->burst;
	char size[SIZE_TEXT_MAX], longest[SIZE_TEXT_MAX];

	if (burst->covered + burst->due == 0)
		return;
	(void)size_format(safety->burst_size, longest);
	(void)printf("          and of a stripe, or a burst of %s, for %" PRIu64
		     " bytes (%s)\n",
		     longest, burst->covered, size_format(burst->covered, size));
	(void)printf("          not such a burst: %" PRIu64 " bytes (%s)",
		     burst->uncovered, size_format(burst->uncovered, size));
	if (burst->sealed > 0)
		(void)printf(", %s of them on volumes that are sealed",
			     size_format(burst->sealed, size));
	(void)putchar('\n');
}

static void print_copies(const struct safety *safety)
{
	const struct copies_missing *missing = &safety->missing;
	unsigned least = missing->least == UINT_MAX ? safety->copies : missing->least;
	char size[SIZE_TEXT_MAX];

	(void)printf("          the loss of any %u of its places\n",
		     least > 0 ? least - 1 : 0);
	(void)printf("copies    %u of everything, a commit takes %u", safety->copies,
		     safety->min_copies);
	if (missing->segments + missing->pages > 0)
		(void)printf("; %s have fewer",
			     size_format(missing->bytes + missing->page_bytes, size));
	(void)putchar('\n');
}

static void print_survives(const struct safety *safety)
{
	if (safety->margin == UINT_MAX)
		(void)puts("survives  unknown: nothing was verified yet");
	else
		(void)printf("survives  the loss of any %u extents of every stripe "
			     "verified\n",
			     safety->margin);
	print_burst(safety);
	if (safety->copies > 1)
		print_copies(safety);
	if (safety->copies == 1 || safety->code.data > 0)
		print_outer(safety);
}

static void print_due(const struct safety *safety, int64_t now)
{
	char text[TIMESTAMP_TEXT_MAX];

	(void)printf("verified  %" PRIu64 " of %" PRIu64 " stripes",
		     safety->stripes - safety->unverified, safety->stripes);
	if (safety->oldest)
		(void)printf(", the oldest %s ago", age(safety->oldest, now, text));
	(void)printf("; due after %u days\n", safety->due_days);
	if (!safety->any_run) {
		(void)puts("last run  none, since the catalog was made or rebuilt");
		return;
	}
	(void)printf("last run  %s ago, %s: %" PRIu64 " places damaged, %" PRIu64
		     " repaired, %" PRIu64 " lost%s\n",
		     age(safety->run.started, now, text),
		     safety->run.repair ? "with repair" : "check only", safety->run.found,
		     safety->run.repaired, safety->run.lost,
		     safety->run.ended ? "" : "; it was stopped, or goes on");
}

static void print_volume(const struct safety_volume *volume, int64_t now)
{
	const char *label = volume->row.label ? volume->row.label : "";
	const char *state = volume->row.retired                 ? "retired"
			    : !volume->attached                 ? "away"
			    : volume->ledger.lost               ? "lost"
			    : volume->ledger.damaged            ? "damaged"
			    : volume->unverified || volume->old ? "due"
								: "sound";
	char text[TIMESTAMP_TEXT_MAX];
	char size[SIZE_TEXT_MAX];

	(void)printf("%4" PRIu64 "  %-8s %10s %6" PRIu64 "/%-6" PRIu64 " %10s  ",
		     volume->row.number, state,
		     size_format(volume->row.payload_size, size),
		     volume->row.stripe_count - volume->unverified,
		     volume->row.stripe_count, age(volume->ledger.oldest, now, text));
	print_name(label, strlen(label));
	(void)putchar('\n');
}

/* As it can be typed. */
static void print_advice(const struct invocation *invocation, const struct safety *safety)
{
	autotext struct text quoted = { 0 };
	const char *directory = invocation->archive_flag;

	if (!safety->advice)
		return;
	(void)printf("\nnext:  blockframe %s", safety->advice);
	if (directory && text_append_quoted(&quoted, directory, strlen(directory)) == 0)
		(void)printf(" -a %s", text_string(&quoted));
	(void)putchar('\n');
}

static void print_safety(const struct invocation *invocation, const struct safety *safety,
			 int64_t now)
{
	print_verdict(safety);
	print_survives(safety);
	print_due(safety, now);
	(void)puts("\n   #  state       payload    verified     oldest  label");
	for (size_t i = 0; i < safety->count; i++)
		print_volume(&safety->volumes[i], now);
	print_advice(invocation, safety);
}

/* ---- JSON ---- */

static int print_safety_json(const struct safety *safety)
{
	autoptr(json) json = json_object_new();

	if (!json)
		return -ENOMEM;
	safety_add_json(safety, json);
	print_json(json);
	return 0;
}

static enum exit_code code_of(const struct safety *safety)
{
	if (safety->verdict == SAFETY_LOST)
		return CODE_LOST;
	return safety->verdict == SAFETY_SAFE ? CODE_DONE : CODE_PARTIAL;
}

static enum exit_code run(struct invocation *invocation)
{
	int64_t now = clock_realtime_ns();
	autoptr(archive) archive = NULL;
	struct safety safety = { 0 };
	struct error err = { 0 };
	enum exit_code code;
	int r;

	code = session_open(invocation, SESSION_READ, &archive);
	if (code != CODE_DONE)
		return code;
	r = safety_get(archive, archive_catalog(archive), now, &safety, &err);
	if (r < 0)
		return session_fail_lookup(r, &err);
	if (invocation->json)
		r = print_safety_json(&safety);
	else if (!invocation->quiet)
		print_safety(invocation, &safety, now);
	code = r < 0 ? fail(r, &err) : code_of(&safety);
	safety_done(&safety);
	return code;
}

const struct command command_status = {
	.name = "status",
	.summary = "say whether the data is safe, and what is due",
	.usage = "",
	.details = "Goes by the ledger that 'health' keeps, and reads no volume. Exits "
		   "with 0 if all of it was verified\nnot too long ago ([health] "
		   "check_every) and is sound, with 3 "
		   "if something is due, damaged or away, with 4 if something is lost.",
	.options = (const struct option_spec[]){ { 0 } },
	.run = run,
};
