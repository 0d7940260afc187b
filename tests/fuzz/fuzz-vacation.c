/* fuzz-vacation.c - who is answered, and with what: deliver/vacation-decide.c, deliver/vacation-reply.c
 *
 * Input: a byte of options, the sender and a newline, the text of the answer and a zero byte, the
 * header of the message.
 */

#include <stdlib.h>
#include <string.h>

#include "../../deliver/vacation.h"
#include "address.h"
#include "addrlist.h"
#include "fuzz.h"
#include "word.h"

static char const own[] = "joe@host.example\0jo";

/* Fields that nobody but the answer itself may have, and how many of them there are. */
static struct {
  char const *name;
  int min, max, seen;
} fields[] = {
    {"To", 1, 1, 0},          {"Auto-Submitted", 1, 1, 0}, {"From", 1, 1000000, 0},
    {"Subject", 1, 1000000, 0}, {"In-Reply-To", 0, 1, 0},  {"References", 0, 1, 0},
    {"Cc", 0, 0, 0},          {"Bcc", 0, 0, 0},            {"Resent-To", 0, 0, 0},
    {"Date", 0, 0, 0},        {"Message-ID", 0, 0, 0},     {"Return-Path", 0, 0, 0},
};
#define FIELDS (sizeof fields / sizeof *fields)

static int on_to(void *data, struct addrlist_addr const *a)
{
  char const *sender = data;
  REQUIRE(a->len == strlen(sender) && !memcmp(a->s, sender, a->len));
  return 1;
}

/* The answer is one message, to the sender alone. */
static void check_reply(struct vacation const *v, stralloc const *reply)
{
  struct header h = HEADER_ZERO(16777216);
  struct header_field f;
  for (size_t i = 0; i < FIELDS; i++) fields[i].seen = 0;
  REQUIRE(header_feed(&h, reply->s, reply->len) > 0 && h.ended && h.empty);
  for (size_t pos = 0; header_next(h.text.s, h.len, &pos, &f);) {
    for (size_t i = 0; i < FIELDS; i++) fields[i].seen += word_is(f.s, f.namelen, fields[i].name);
    if (f.name == HEADER_TO)
      REQUIRE(addrlist_parse(f.s + f.value, f.len - f.value, on_to, (void *)v->sender) == 1);
    if (word_is(f.s, f.namelen, "Auto-Submitted"))
      REQUIRE(f.len == 29 && !memcmp(f.s, "Auto-Submitted: auto-replied\n", 29));
  }
  for (size_t i = 0; i < FIELDS; i++)
    REQUIRE(fields[i].seen >= fields[i].min && fields[i].seen <= fields[i].max);
  stralloc_free(&h.text);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int options = fuzz_byte(&f);
  struct fuzz from = fuzz_until(&f, '\n');
  struct fuzz answer = fuzz_until(&f, 0);
  size_t len;
  char *message = fuzz_unpack(f, &len);
  char *sender = strndup(from.s, from.len);
  struct vacation v = {.sender = sender, .percent = options & 1, .any = options >> 1 & 1,
                       .subject = options & 4 ? "Re: %S" : 0};
  struct mailhead m = MAILHEAD_ZERO;
  stralloc text = STRALLOC_ZERO, reply = STRALLOC_ZERO;
  REQUIRE(stralloc_copyb(&v.own, own, sizeof own) && stralloc_copyb(&text, answer.s, answer.len));
  struct header h = HEADER_ZERO(MAILHEAD_MAX);
  int whole = header_feed(&h, message, len) != -1 && header_finish(&h);
  mailhead_set(&m, h.text.s ? h.text.s : "", whole ? h.len : 0);
  if (!vacation_bad_sender(sender, &v.own) && !vacation_bad_header(&v, &m)) {
    REQUIRE(v.address.len && strchr(v.address.s, '@') && address_is_clean(v.address.s, v.address.len - 1));
    vacation_compose(&v, &m, &text, &reply);
    check_reply(&v, &reply);
  }
  stralloc_free(&h.text);
  stralloc_free(&v.own);
  stralloc_free(&v.address);
  stralloc_free(&m.text);
  stralloc_free(&m.id);
  stralloc_free(&m.references);
  stralloc_free(&text);
  stralloc_free(&reply);
  free(sender);
  free(message);
  return 0;
}
