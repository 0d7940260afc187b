/* fuzz-reply.c - what a foreign server says: lib/smtpreply.c, what becomes of it in results, and
 * its limits: remote/peerlimits.c
 *
 * Input: a byte that seeds the cuts, then what the server sends.
 */

#include <stdlib.h>
#include <string.h>

#include <skalibs/stralloc.h>

#include "../../remote/outcome.h"
#include "../../remote/peerlimits.h"
#include "../../send/bounce.h"
#include "fuzz.h"
#include "job.h"
#include "smtpreply.h"

/* The same judgement from the whole at once: state, code, and where it was clear. */
struct judgement {
  enum smtpreply_state state;
  int code;
  size_t used;
};

static int line_code(char const *s, size_t len)
{
  if (len < 3 || s[0] < '2' || s[0] > '5' || s[1] < '0' || s[1] > '5' || s[2] < '0' || s[2] > '9')
    return 0;
  if (len > 3 && s[3] != ' ' && s[3] != '-') return 0;
  return (s[0] - '0') * 100 + (s[1] - '0') * 10 + s[2] - '0';
}

static struct judgement judge(char const *s, size_t len)
{
  struct judgement j = { SMTPREPLY_MORE, 0, 0 };
  struct judgement const bad = { SMTPREPLY_MALFORMED, 0, 0 };
  for (size_t lines = 1; j.used < len; lines++) {
    char const *line = s + j.used;
    char const *lf = memchr(line, '\n', len - j.used);
    size_t n = lf ? (size_t)(lf - line) : len - j.used;
    if (n >= SMTPREPLY_LINE_MAX) return bad;
    j.used += n + (lf != 0);
    if (!lf) break;
    if (n && line[n - 1] == '\r') n--;
    int code = line_code(line, n);
    if (!code || (j.code && code != j.code) || lines > SMTPREPLY_LINES_MAX) return bad;
    j.code = code;
    if (n > 3 && line[3] == '-') continue;
    j.state = SMTPREPLY_COMPLETE;
    break;
  }
  return j;
}

static enum smtpreply_state feed(struct smtpreply *r, char const *s, size_t len, uint32_t seed,
                                 size_t *used)
{
  enum smtpreply_state state = SMTPREPLY_MORE;
  *used = 0;
  smtpreply_start(r);
  while (*used < len && state == SMTPREPLY_MORE) {
    size_t n = fuzz_piece(&seed, len - *used), taken;
    char *piece = fuzz_copy(s + *used, n);
    state = smtpreply_feed(r, piece, n, &taken);
    REQUIRE(taken <= n);
    REQUIRE(state != SMTPREPLY_MORE || taken == n);
    *used += taken;
    free(piece);
  }
  return state;
}

/* Nothing in a text may begin another line of a log or another field. */
static int is_clean(char const *s, size_t len)
{
  for (size_t i = 0; i < len; i++)
    if (s[i] != '\n' && (s[i] < 32 || s[i] > 126)) return 0;
  return 1;
}

static void test_bounds(char const *text, size_t len)
{
  size_t at;
  size_t n = bounce_status(text, len, &at);
  REQUIRE(!n || (at < len && n <= len - at && n >= 5 && n <= 9 && strchr("245", text[at])));
  n = bounce_remote(text, len, &at);
  REQUIRE(!n || (at < len && n <= len - at && n < 46 && !memchr(text + at, ' ', n)));
  n = bounce_said(text, len, &at);
  REQUIRE(!n || (at < len && n == len - at));
}

/* A reply that is complete ends up in the results of a message and its recipients. */
static void test_outcome(struct smtpreply const *r, char const *host)
{
  struct outcome o = OUTCOME_ZERO;
  char const *text;
  size_t len;
  REQUIRE(outcome_start(&o, 2));
  outcome_rcpt(&o, 0, r->code < 500 ? 's' : 'h', r, "%s does not like recipient.\n", host);
  outcome_rcpt(&o, 1, 'r', 0, "%s", host);
  outcome_message_said(&o, r->code < 300 ? 'K' : r->code < 500 ? 'Z' : 'D', r, "%s: ", host);
  for (size_t i = 0; i < 2; i++) {
    char letter = outcome_of(&o, i, &text, &len);
    REQUIRE(letter == (r->code < 300 && i ? 'K' : r->code < 500 ? 'Z' : 'D'));
    REQUIRE(len < JOB_TEXT_MAX && is_clean(text, len));
    char *copy = fuzz_copy(text, len);
    test_bounds(copy, len);
    free(copy);
  }
  free(o.rcpts);
  stralloc_free(&o.text);
}

/* LMTP: a reply for each recipient; the message has the verdict of the first one who has it. */
static void test_each(struct smtpreply const *r, char const *host)
{
  struct outcome o = OUTCOME_ZERO;
  char const *text, *all;
  size_t len, alllen;
  char letter = r->code < 300 ? 'K' : r->code < 500 ? 's' : 'h';
  REQUIRE(outcome_start(&o, 3));
  outcome_rcpt(&o, 0, 'h', 0, "%s does not like recipient.\n", host);
  outcome_rcpt(&o, 1, letter, r, "%s: ", host);
  outcome_message(&o, r->code % 2 ? 'Z' : 'D', "%s\n", host); /* it died, or nobody is left */
  outcome_finish(&o);
  REQUIRE(outcome_of(&o, 0, &text, &len) == 'D');
  REQUIRE(outcome_of(&o, 1, &text, &len) == (letter == 'K' ? 'K' : letter == 's' ? 'Z' : 'D'));
  REQUIRE(is_clean(text, len));
  REQUIRE(outcome_of(&o, 2, &all, &alllen) == (r->code % 2 ? 'Z' : 'D'));
  REQUIRE(letter != 'K' || (o.message.letter == 'K' && o.message.at == o.rcpts[1].at));
  free(o.rcpts);
  stralloc_free(&o.text);
}

/* No limit is out of bounds, and none comes from nowhere. */
static void test_limits(char const *s, size_t len)
{
  struct peerlimits l = { 0, 0, 0 };
  peerlimits_read(&l, s, len);
  REQUIRE(l.mailmax <= 999999 && l.rcptmax <= 999999 && l.rcptdomainmax <= 999999);
  if (l.mailmax || l.rcptmax || l.rcptdomainmax) REQUIRE(memmem(s, len, "=", 1));
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  static struct smtpreply whole, cut;
  struct fuzz f = { (char const *)in, inlen };
  uint32_t seed = fuzz_byte(&f);
  char host[64] = "";
  size_t len, used;
  char *s = fuzz_unpack(f, &len);
  test_bounds(s, len);
  test_limits(s, len);
  if (len) memcpy(host, s, len < sizeof host - 1 ? len : sizeof host - 1);
  for (size_t at = 0; at < len; at += used) { /* reply after reply, as in a session */
    struct judgement expected = judge(s + at, len - at);
    REQUIRE(feed(&cut, s + at, len - at, seed, &used) == expected.state);
    REQUIRE(smtpreply_feed((smtpreply_start(&whole), &whole), s + at, len - at, &used) ==
            expected.state);
    if (expected.state == SMTPREPLY_MALFORMED) break;
    feed(&cut, s + at, len - at, seed, &used);
    REQUIRE(used == expected.used);
    if (expected.state == SMTPREPLY_MORE) break;
    REQUIRE(cut.code == expected.code && whole.code == expected.code);
    REQUIRE(cut.textlen <= SMTPREPLY_TEXT_MAX && is_clean(cut.text, cut.textlen));
    REQUIRE(cut.textlen >= 4 && cut.text[cut.textlen - 1] == '\n');
    REQUIRE(cut.textlen == whole.textlen && !memcmp(cut.text, whole.text, cut.textlen));
    test_outcome(&cut, host);
    test_each(&cut, host);
  }
  free(s);
  return 0;
}
