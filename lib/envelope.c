/* envelope.c - read an envelope piece by piece; see envelope.h */

#include <string.h>

#include "envelope.h"
#include "qfile.h"
#include "queuewire.h"

static void fail(struct envelope *e, int code)
{
  e->code = code;
}

/* The letter of a record, or the additional NUL. */
static void begin_record(struct envelope *e, char c)
{
  int first = e->state == ENVELOPE_START;
  e->len = 0;
  if (first ? c == 'F' : c == 'T') e->state = ENVELOPE_ADDRESS;
  else if (!first && c == 'X') e->state = ENVELOPE_NAME;
  else if (!first && !c) e->state = ENVELOPE_END;
  else fail(e, QQ_FORMAT);
  e->letter = c;
}

static void end_record(struct envelope *e)
{
  if (e->letter == 'T') e->rcpts++;
  e->dangling = e->letter == 'X' && e->rcpts;
  e->state = ENVELOPE_BETWEEN;
}

static int is_name(char c)
{
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
}

/* Bytes of an X record. The number used. */
static size_t take_extra(struct envelope *e, char const *s, size_t len)
{
  size_t i = 0;
  while (i < len && !e->code) {
    char c = s[i++];
    if (++e->len > QFILE_ADDR_MAX) {
      fail(e, QQ_TOO_LONG);
    } else if (e->state == ENVELOPE_NAME) {
      if (c == '=' && e->len > 1) e->state = ENVELOPE_VALUE;
      else if (!is_name(c) || e->len > ENVELOPE_NAME_MAX) fail(e, QQ_FORMAT);
    } else if (!c) {
      end_record(e);
      break;
    } else if ((unsigned char)c < 32 || c == 127) {
      fail(e, QQ_FORMAT);
    }
  }
  return i;
}

static size_t take_address(struct envelope *e, char const *s, size_t len)
{
  char const *nul = memchr(s, 0, len);
  size_t used = nul ? (size_t)(nul - s) + 1 : len;
  if (used > QFILE_ADDR_MAX - e->len || (!nul && used == QFILE_ADDR_MAX - e->len)) {
    fail(e, QQ_TOO_LONG);
    return used;
  }
  e->len += used;
  if (nul) end_record(e);
  return used;
}

size_t envelope_take(struct envelope *e, char const *s, size_t len)
{
  size_t used = 0;
  while (used < len && !e->code && e->state != ENVELOPE_END) {
    size_t n = 1;
    if (e->state <= ENVELOPE_BETWEEN) begin_record(e, s[used]);
    else if (e->state == ENVELOPE_ADDRESS) n = take_address(e, s + used, len - used);
    else n = take_extra(e, s + used, len - used);
    used += n;
    if (e->state == ENVELOPE_END) break;
    e->total += n;
    if (e->total > QFILE_ENV_MAX) fail(e, QQ_REFUSED);
  }
  return used;
}

int envelope_check(struct envelope const *e)
{
  if (e->code) return e->code;
  if (e->state != ENVELOPE_BETWEEN && e->state != ENVELOPE_END) return QQ_READ;
  return e->dangling ? QQ_FORMAT : 0;
}
