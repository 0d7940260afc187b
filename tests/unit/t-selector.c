/* t-selector.c - which mail a command means, and the packets that say so */

#include <string.h>

#include "check.h"
#include "selector.h"
#include "sendwire.h"

static struct make_case {
  char kind;
  char const *value;
  int ok;
} const makes[] = {
  { 'a', "", 1 },
  { 'a', "x", 0 },
  { 'd', "far.example", 1 },
  { 'd', "", 0 },
  { 'd', "a@far.example", 0 },
  { 'd', "far\nexample", 0 },
  { 's', "", 1 },
  { 's', "joe", 1 },
  { 's', "@", 0 },
  { 's', "@far.example", 1 },
  { 's', "a\177b", 0 },
  { 's', "caf\303\251@far.example", 1 },
  { 'i', "1795303026123456", 1 },
  { 'i', "18446744073709551615", 1 },
  { 'i', "18446744073709551616", 0 },
  { 'i', "0", 0 },
  { 'i', "012", 0 },
  { 'i', "12 ", 0 },
  { 'i', "", 0 },
  { 'i', "1111111111111111111111111111111111111111111111111111111111111111", 0 },
  { 'x', "", 0 },
};

static struct match_case {
  char kind;
  char const *value, *sender, *rcpt;
  int matches;
} const matches[] = {
  { 'a', "", "s@a.example", "r@b.example", 1 },
  { 'i', "7", "s@a.example", "r@b.example", 1 },
  { 'i', "70", "s@a.example", "r@b.example", 0 },
  { 'd', "B.Example", "s@a.example", "r@b.eXample", 1 },
  { 'd', "example", "s@a.example", "r@b.example", 0 },
  { 'd', "b.example", "s@a.example", "r@xb.example", 0 },
  { 'd', "b.example", "s@a.example", "b.example", 0 },
  { 'd', "b.example", "s@a.example", "r@c.example@b.example", 1 },
  { 'd', "a.example", "s@a.example", "r@b.example", 0 },
  { 's', "S@A.example", "s@a.example", "r@b.example", 1 },
  { 's', "s@a.example", "ss@a.example", "r@b.example", 0 },
  { 's', "s", "s@a.example", "r@b.example", 0 },
  { 's', "s", "s", "r@b.example", 1 },
  { 's', "@a.example", "s@A.example", "r@b.example", 1 },
  { 's', "@a.example", "s@b.a.example", "r@b.example", 0 },
  { 's', "@a.example", "a.example", "r@b.example", 0 },
  { 's', "", "", "r@b.example", 1 },
  { 's', "", "s@a.example", "r@b.example", 0 },
  { 's', "@a.example", "", "r@b.example", 0 },
  { 's', "l-@a.example", "l-@a.example-@[]", "r@b.example", 1 },
  { 's', "@a.example", "l-@a.example-@[]", "r@b.example", 1 },
  { 's', "#@[]", "#@[]", "r@b.example", 1 },
};

static void check_makes(void)
{
  char why[128];
  for (size_t i = 0; i < sizeof makes / sizeof *makes; i++) {
    struct selector sel;
    char const *r = selector_make(&sel, makes[i].kind, makes[i].value, strlen(makes[i].value));
    snprintf(why, sizeof why, "%c '%.40s': %s", makes[i].kind, makes[i].value, makes[i].ok ? "taken" : "refused");
    check((r == 0) == makes[i].ok, why);
  }
}

static void check_matches(void)
{
  char why[160];
  for (size_t i = 0; i < sizeof matches / sizeof *matches; i++) {
    struct match_case const *m = matches + i;
    struct selector sel;
    int ok = !selector_make(&sel, m->kind, m->value, strlen(m->value)) &&
             (selector_message(&sel, 7, m->sender, strlen(m->sender)) &&
              selector_rcpt(&sel, m->rcpt, strlen(m->rcpt))) == m->matches;
    snprintf(why, sizeof why, "%c '%s', from <%s> to <%s>: %s", m->kind, m->value, m->sender, m->rcpt,
             m->matches ? "meant" : "not");
    check(ok, why);
  }
}

static void check_packets(void)
{
  char packet[SENDWIRE_MAX];
  char long_value[SELECTOR_MAX + 1];
  char command;
  char const *why;
  struct selector sel, back;
  memset(long_value, 'x', sizeof long_value);
  check(!selector_make(&sel, 's', long_value, SELECTOR_MAX) &&
            selector_make(&back, 's', long_value, sizeof long_value), "a value has a limit");
  size_t len = sendwire_pack(packet, SENDWIRE_HOLD, &sel);
  check(len == SENDWIRE_MAX && sendwire_unpack(packet, len, &command, &back, &why) == 1 &&
            command == SENDWIRE_HOLD && selector_equal(&sel, &back), "the longest command comes back as it was");
  check(!sendwire_unpack(packet, 0, &command, &back, &why) && !sendwire_unpack("X", 1, &command, &back, &why) &&
            !sendwire_unpack("T", 1, &command, &back, &why) && !sendwire_unpack("La", 2, &command, &back, &why) &&
            sendwire_unpack("L", 1, &command, &back, &why), "what is none is refused");
  struct sendwire_answer a = { .type = 'K', .changed = 1, .messages = UINT64_MAX, .rcpts = 12 }, b;
  len = sendwire_pack_answer(packet, &a);
  check(sendwire_unpack_answer(packet, len, &b) && b.changed == 1 && b.messages == UINT64_MAX && b.rcpts == 12 &&
            !sendwire_unpack_answer(packet, len - 1, &b), "numbers come back as they were");
  check(sendwire_unpack_answer("Za\033[mb\n", 7, &b) && !strcmp(b.text, "a?[mb?"), "a text does nothing to a terminal");
}

int main(void)
{
  check_makes();
  check_matches();
  check_packets();
  return check_done();
}
