/* fuzz-dotqmail.c - what users write and what local looks for: local/dotqmail.c, local/loop.c
 *
 * Input: a byte of options, then ext and a newline where a file is looked for,
 * then a dot-qmail file, or a header.
 */

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "../../local/dotqmail.h"
#include "../../local/loop.h"
#include "address.h"
#include "fuzz.h"

/* --- looking for the file --- */

static struct {
  char const *dash, *ext;
  unsigned int tries, there; /* the try that finds a file */
  size_t last;               /* how much of ext the last default name had */
} look;

static int is_part(char const *name, char const *part, size_t len)
{
  for (size_t i = 0; i < len; i++) {
    char c = part[i] == '.' ? ':' : (char)tolower((unsigned char)part[i]);
    if ((unsigned char)part[i] < 128 ? name[i] != c : name[i] != part[i]) return 0;
  }
  return 1;
}

/* Every name that is opened stands for ext or for a part of it, the longest first. */
static void check_name(char const *name)
{
  size_t dash = strlen(look.dash), ext = strlen(look.ext), len = strlen(name);
  REQUIRE(len >= 6 + dash && !memcmp(name, ".qmail", 6) && !memcmp(name + 6, look.dash, dash));
  name += 6 + dash;
  len -= 6 + dash;
  REQUIRE(!strstr(name, ".."));
  if (!look.tries++) {
    REQUIRE(len == ext && is_part(name, look.ext, ext));
    return;
  }
  REQUIRE(len >= 7 && !strcmp(name + len - 7, "default"));
  len -= 7;
  REQUIRE(len <= ext && is_part(name, look.ext, len) && (!len || look.ext[len - 1] == '-'));
  REQUIRE(look.tries == 2 || len < look.last);
  look.last = len;
}

extern int __real_open(char const *path, int flags, ...);
extern int __wrap_open(char const *path, int flags, ...);
int __wrap_open(char const *path, int flags, ...)
{
  if (!look.ext) { /* not dotqmail.c's */
    va_list ap;
    va_start(ap, flags);
    int mode = flags & O_CREAT ? va_arg(ap, int) : 0;
    va_end(ap);
    return __real_open(path, flags, mode);
  }
  check_name(path);
  if (look.tries == look.there) return dup(fuzz_memory("x\n", 2));
  errno = look.tries % 2 ? ENOENT : ENAMETOOLONG;
  return -1;
}

static void test_find(unsigned int options, char const *ext)
{
  struct dotqmail_file f;
  struct report r;
  look.dash = options & 1 ? "-" : "";
  look.ext = ext;
  look.there = options >> 1 & 7;
  look.tries = 0;
  REQUIRE(dotqmail_find(&f, look.dash, ext, &r));
  look.ext = 0;
  if (f.fd != -1) {
    REQUIRE(look.tries == look.there);
    close(f.fd);
    size_t len = strlen(ext);
    if (look.tries > 1)
      REQUIRE(f.defaultfrom == look.last);
    else
      REQUIRE(f.defaultfrom ==
              (len >= 7 && !strcasecmp(ext + len - 7, "default") ? len - 7 : DOTQMAIL_NOTDEF));
    return;
  }
  REQUIRE(f.defaultfrom == DOTQMAIL_NOTDEF && !look.last == (look.tries > 1));
}

/* --- its lines --- */

struct expected {
  enum instruction_kind kind;
  char *text; /* NUL-terminated */
};

/* The next line of <f>, without blanks at its end, as a string of its own. */
static char *take_line(struct fuzz *f)
{
  struct fuzz line = fuzz_until(f, '\n');
  while (line.len && strchr(" \t", line.s[line.len - 1])) line.len--;
  char *s = malloc(line.len + 1);
  memcpy(s, line.s, line.len);
  s[line.len] = 0;
  return s;
}

/* What the line says: 1 an instruction, 0 nothing, -1 it may not stand there. */
static int understand(struct expected *e, char *s, int first, int *forwardonly)
{
  size_t len = strlen(s);
  if (!len) return first ? -1 : 0;
  if (*s == '#') return 0;
  if (*s == '+') {
    if (!strcmp(s, "+list")) *forwardonly = 1;
    return 0;
  }
  if (strchr("./|", *s)) {
    e->kind = *s == '|'           ? INSTRUCTION_PROGRAM
              : s[len - 1] == '/' ? INSTRUCTION_MAILDIR
                                  : INSTRUCTION_MBOX;
    e->text = s + (*s == '|');
    return *forwardonly ? -1 : 1;
  }
  e->kind = INSTRUCTION_FORWARD;
  e->text = s + (*s == '&');
  while (*e->text == ' ' || *e->text == '\t') e->text++;
  return *e->text ? 1 : -1;
}

static void test_lines(unsigned int options, char const *s, size_t len)
{
  static char const fallback[] = "./Maildir/";
  struct dotqmail q = { .text = STRALLOC_ZERO };
  struct dotqmail_file file = { .fd = dup(fuzz_memory(s, len)), .forwardonly = (int)(options & 1) };
  struct report r;
  int forwardonly = file.forwardonly && len;
  int ok = dotqmail_read(&q, &file, fallback, &r);
  REQUIRE(file.fd == -1);
  REQUIRE(ok == !memchr(s ? s : "", 0, len) && (ok || r.code == 111));
  struct fuzz f = { len ? s : fallback, len ? len : sizeof fallback - 1 };
  size_t n = 0, programs = 0;
  for (int first = 1; ok && f.len; first = 0) {
    struct expected e;
    char *line = take_line(&f);
    int what = understand(&e, line, first, &forwardonly);
    if (what == 1) {
      REQUIRE(n < q.count && q.list[n].kind == e.kind && !strcmp(q.list[n].text, e.text));
      n++;
      programs += e.kind == INSTRUCTION_PROGRAM;
    }
    free(line);
    if (what != -1) continue;
    REQUIRE(q.refusal);
    break;
  }
  REQUIRE(q.count == n && q.programs == programs && (!q.refusal || f.len || n < len));
  free(q.list);
  stralloc_free(&q.text);
}

/* --- Delivered-To --- */

static int is_space(char c)
{
  return c == ' ' || c == '\t' || c == '\r';
}

/* A field without its folds. */
struct field {
  char s[LOOP_LINE_MAX];
  size_t len;
  int cut;
};

/* Where the value begins, when this is the field's name. */
static size_t value_of(struct field const *f, char const *name)
{
  size_t n = strlen(name);
  if (f->len < n || strncasecmp(f->s, name, n)) return 0;
  while (n < f->len && is_space(f->s[n])) n++;
  return n < f->len && f->s[n] == ':' ? n + 1 : 0;
}

static int is_ours(struct field const *f, char const *address)
{
  size_t n = strlen(address), at = address_at(address, n);
  size_t start = value_of(f, "delivered-to"), end = f->len;
  if (!start || f->cut) return 0;
  while (start < end && is_space(f->s[start])) start++;
  while (start < end && is_space(f->s[end - 1])) end--;
  return end - start == n && !memcmp(f->s + start, address, at) &&
         !strncasecmp(f->s + start + at, address + at, n - at);
}

static void append(struct field *f, struct fuzz line, int ended)
{
  size_t room = sizeof f->s - f->len;
  f->cut |= line.len > room;
  if (line.len < room) room = line.len;
  memcpy(f->s + f->len, line.s, room);
  f->len += room;
  while (ended && f->len > 1 && is_space(f->s[f->len - 1])) f->len--;
}

static int has_loop(char const *s, size_t len, char const *address)
{
  static struct field field;
  struct fuzz f = { s, len };
  unsigned int hops = 0;
  for (field.len = 0;;) {
    int over = !f.len;
    struct fuzz line = fuzz_until(&f, '\n');
    int ended = !over && line.s + line.len < s + len;
    int empty = !line.len || (line.len == 1 && *line.s == '\r');
    int folded = field.len && line.len && (*line.s == ' ' || *line.s == '\t');
    while (folded && line.len && is_space(*line.s)) line.s++, line.len--;
    if (!folded) {
      if (is_ours(&field, address)) return 1;
      if (value_of(&field, "received") && ++hops == LOOP_HOPS) return 1;
      field.len = 0;
      field.cut = 0;
      if (over || empty) return 0;
    }
    append(&field, line, ended);
  }
}

static void test_loop(uint32_t seed, char const *s, size_t len)
{
  static char const address[] = "joe@example.org";
  struct loop l;
  loop_init(&l, address, sizeof address - 1);
  int go_on = 1;
  for (size_t pos = 0, n; pos < len && go_on; pos += n) {
    n = fuzz_piece(&seed, len - pos);
    char *piece = fuzz_copy(s + pos, n);
    go_on = loop_look(&l, piece, n);
    free(piece);
  }
  if (go_on) go_on = loop_end(&l);
  REQUIRE(go_on == !has_loop(s, len, address));
}

int LLVMFuzzerTestOneInput(uint8_t const *in, size_t inlen)
{
  struct fuzz f = { (char const *)in, inlen };
  unsigned int options = fuzz_byte(&f);
  if (options % 4 == 0) {
    char *ext = malloc(f.len + 1);
    memcpy(ext, f.s, f.len);
    ext[f.len] = 0;
    look.last = 0;
    test_find(options >> 2, ext);
    free(ext);
    return 0;
  }
  size_t len;
  char *s = fuzz_unpack(f, &len);
  if (options % 4 == 1)
    test_loop(options, s, len);
  else
    test_lines(options >> 2, s, len);
  free(s);
  return 0;
}
