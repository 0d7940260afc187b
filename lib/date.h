/* date.h - dates as mail writes them (RFC 5322, 3.3) */
#ifndef PIPIT_DATE_H
#define PIPIT_DATE_H

#include <stddef.h>
#include <time.h>

#define DATE_MAX 40 /* bytes with the NUL */

/* "Sat, 21 Nov 2026 23:17:06 +0000", in the local zone of the process; the
 * length is returned. In UTC when the local zone cannot be told. */
extern size_t date_rfc5322(char out[DATE_MAX], time_t when);

/* The same in UTC, ending in "-0000": the zone of whoever wrote the message is not known (3.3). */
extern size_t date_utc(char out[DATE_MAX], time_t when);

/* Read a date as people and programs write it: with names in full, in another order, as ISO 8601,
 * with two digits of the year (4.3), with names of zones or none. What says no more than two
 * numbers and a year is not understood, for nobody knows which is the month.
 * 0: not understood. 1: it is as RFC 5322 wants it, or differs by comments, blanks and case. 2:
 * <out> is the same date as RFC 5322 wants it. */
extern int date_mend(char out[DATE_MAX], char const *s, size_t len);

/* "20261121231706.123.004567.pipit", for the left of the '@' in a Message-ID: no other message of
 * this host has it. The length is returned. */
#define DATE_ID_MAX 80 /* bytes with the NUL */
extern size_t date_id(char out[DATE_ID_MAX], struct timespec const *now);

#endif
