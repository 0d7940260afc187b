/* fuzz-tables.c - lines of users/mailboxes and users/assign, and entries of users/mailboxes.cdb:
 * tools/mailbox-line.c, tools/assign.c, lib/mailboxes.c
 *
 * Input: a byte, then lines (0: of users/mailboxes; 1: of users/assign); or 2: an address and a
 * newline, then the fields of its entry, in which the byte 1 stands for a NUL.
 */

#include <cdb.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../tools/assign.h"
#include "../../tools/mailbox-line.h"
#include "address.h"
#include "fuzz.h"
#include "mailboxes.h"

static int table = -1;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
  (void)argc;
  (void)argv;
  table = memfd_create("table", 0);
  return table == -1;
}

/* The password and group databases. */
extern int __wrap_getpw_ids(char const *name, uid_t *uid, gid_t *gid);
int __wrap_getpw_ids(char const *name, uid_t *uid, gid_t *gid)
{
  *uid = (uid_t)strlen(name) % 5;
  *gid = (gid_t)strlen(name) % 4;
  return (int)(strlen(name) % 3) - 1;
}
extern struct group *__wrap_getgrnam(char const *name);
struct group *__wrap_getgrnam(char const *name)
{
  static struct group g;
  g.gr_gid = (gid_t)strlen(name) % 5;
  return strlen(name) % 3 ? &g : 0;
}

/* Does every line of s begin with '&', and hold an address and nothing odd? */
static int are_forwards(char const *s)
{
  for (; *s; s += strcspn(s, "\n") + 1) {
    size_t len = strcspn(s, "\n");
    if (*s != '&' || s[len] != '\n' || address_at(s + 1, len - 1) >= len - 2) return 0;
    for (size_t i = 0; i < len; i++)
      if ((unsigned char)s[i] <= ' ' || strchr(",:<>\"\\", s[i])) return 0;
  }
  return 1;
}

/* Is it a path that leads nowhere but below the folder that it begins in? */
static int is_below(char const *s)
{
  size_t len = strlen(s);
  return len > 3 && !memcmp(s, "./", 2) && s[len - 1] == '/' && !strstr(s, "/../") &&
         !strstr(s, "//") && !strstr(s, "/./") && !strchr(s, '\n');
}

static void test_mailbox_line(struct mailbox_line *l, struct mailbox_defaults *d, struct fuzz f)
{
  char const *field[6];
  size_t pos = 0;
  if (mailbox_line(l, d, f.s, f.len) || !l->kind) return;
  REQUIRE(l->at < l->addr.len && l->addr.s[l->at] == '@' && l->addr.len <= ADDRESS_MAX);
  if (l->kind == '+') return;
  for (int i = 0; i < 6; i++, pos++) {
    field[i] = l->fields.s + pos;
    pos += strnlen(field[i], l->fields.len - pos);
    REQUIRE(pos < l->fields.len);
  }
  REQUIRE(pos == l->fields.len && strlen(field[5]) <= MAILBOXES_DELIVERY_MAX);
  if (l->kind == '&') {
    REQUIRE(pos == strlen(field[5]) + 6 && *field[5] && are_forwards(field[5]));
    return;
  }
  REQUIRE(*field[0] && atol(field[1]) > 0 && atol(field[2]) > 0);
  REQUIRE(*field[3] == '/' && is_below(field[5]));
}

static void test_assign(struct assign *a, struct fuzz f)
{
  size_t nuls = 0;
  if (assign_line(a, f.s, f.len)) return;
  for (size_t i = 0; i < a->value.len; i++) nuls += !a->value.s[i];
  REQUIRE(nuls == 5);
  REQUIRE(a->key.len >= 1 && *a->key.s == '!' && (*f.s == '+' || !a->key.s[a->key.len - 1]));
}

static void test_lines(struct fuzz f, int assign)
{
  struct mailbox_line l = MAILBOX_LINE_ZERO;
  struct mailbox_defaults d = MAILBOX_DEFAULTS_ZERO;
  struct assign a = ASSIGN_ZERO;
  while (f.len) {
    struct fuzz line = fuzz_until(&f, '\n');
    if (memchr(line.s, 0, line.len)) continue;
    char *copy = fuzz_copy(line.s, line.len);
    struct fuzz c = {copy, line.len};
    if (assign)
      test_assign(&a, c);
    else
      test_mailbox_line(&l, &d, c);
    free(copy);
  }
  stralloc_free(&l.addr);
  stralloc_free(&l.fields);
  stralloc_free(&d.user);
  stralloc_free(&d.base);
  stralloc_free(&d.quota);
  stralloc_free(&a.key);
  stralloc_free(&a.value);
  stralloc_free(&a.wild);
}

/* Add a record with its sum. */
static void put(struct cdb_make *m, char kind, char const *s, size_t len, char const *fields,
                size_t fieldslen)
{
  char sum[MAILBOXES_SUM];
  stralloc key = STRALLOC_ZERO, value = STRALLOC_ZERO;
  if (kind && !mailboxes_key(&key, kind, s, len)) abort();
  mailboxes_sum(sum, &key, fields, fieldslen);
  if (!stralloc_catb(&value, sum, sizeof sum) || !stralloc_catb(&value, fields, fieldslen) ||
      cdb_make_add(m, key.s, (unsigned int)key.len, value.s, (unsigned int)value.len))
    abort();
  stralloc_free(&key);
  stralloc_free(&value);
}

static int is_inside(struct mailbox const *m, char const *s)
{
  return s >= m->text.s && s < m->text.s + m->text.len &&
         memchr(s, 0, (size_t)(m->text.s + m->text.len - s));
}

static void test_entry(struct fuzz f)
{
  struct cdb_make make;
  struct cdbmap_stamp stamp = {.size = 0};
  struct mailbox m = MAILBOX_ZERO;
  char path[64];
  struct fuzz addr = fuzz_until(&f, '\n');
  size_t at = address_at(addr.s, addr.len);
  char *fields = fuzz_copy(f.s, f.len);
  for (size_t i = 0; i < f.len; i++)
    if (fields[i] == 1) fields[i] = 0;
  if (ftruncate(table, 0) || lseek(table, 0, SEEK_SET) || cdb_make_start(&make, table)) abort();
  if (at < addr.len) put(&make, '@', addr.s + at + 1, addr.len - at - 1, "", 0);
  put(&make, '!', addr.s, addr.len, fields, f.len);
  put(&make, 0, "", 0, MAILBOXES_FORMAT, sizeof MAILBOXES_FORMAT - 1);
  if (cdb_make_finish(&make)) abort();
  snprintf(path, sizeof path, "/proc/self/fd/%d", table);
  int r = mailboxes_find(AT_FDCWD, path, addr.s, addr.len, &stamp, &m);
  if (at == addr.len)
    REQUIRE(r == MAILBOXES_ELSEWHERE);
  else
    REQUIRE(r == MAILBOXES_FOUND || (r == -1 && errno == EPROTO));
  if (r == MAILBOXES_FOUND) {
    REQUIRE(is_inside(&m, m.user) && is_inside(&m, m.home) && is_inside(&m, m.quota));
    REQUIRE(is_inside(&m, m.delivery) && *m.delivery == (m.forward ? '&' : '.'));
    REQUIRE(m.forward || (m.uid && m.gid && *m.user && *m.home == '/'));
  }
  stralloc_free(&m.text);
  free(fields);
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = {(char const *)in, inlen};
  unsigned int kind = fuzz_below(&f, 3);
  if (kind == 2)
    test_entry(f);
  else
    test_lines(f, kind == 1);
  return 0;
}
