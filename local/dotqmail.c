/* dotqmail.c - find and read dot-qmail files; see dotqmail.h */

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <skalibs/allreadwrite.h>

#include "dotname.h"
#include "dotqmail.h"
#include "program.h"

static int no_memory(struct report *r)
{
  return report_fail(r, EXIT_TEMPORARY, "Out of memory. (#4.3.0)");
}

static int cannot_open(struct report *r, char const *name)
{
  return report_fail(r, EXIT_TEMPORARY, "Unable to open %s: %s. (#4.3.0)", name, strerror(errno));
}

/* Open the file for reading if it is one. 1 (f->fd is -1 when there is none), or 0 and <r>. */
static int try_file(struct dotqmail_file *f, char const *name, struct report *r)
{
  struct stat st;
  int fd = open(name, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
  f->fd = -1;
  if (fd == -1) return dotname_is_absent(errno) || errno == ENXIO ? 1 : cannot_open(r, name);
  if (fstat(fd, &st) == -1) {
    cannot_open(r, name);
    close(fd);
    return 0;
  }
  if (!S_ISREG(st.st_mode)) return close(fd), 1;
  if (st.st_mode & DOTQMAIL_PATRN) {
    close(fd);
    return report_fail(r, EXIT_TEMPORARY, "Uh-oh: .qmail file is writable. (#4.7.0)");
  }
  f->forwardonly = (st.st_mode & S_IXUSR) != 0;
  f->fd = fd;
  return 1;
}

/* The file for the whole of ext; when that ends with "default" it is a default file too. */
static int try_exact(struct dotqmail_file *f, stralloc *name, char const *dash, char const *ext,
                     size_t len, struct report *r)
{
  static char const word[] = "default";
  size_t wordlen = sizeof word - 1;
  if (!dotname_make(name, dash, ext, len, "")) return no_memory(r);
  if (!try_file(f, name->s, r)) return 0;
  if (f->fd != -1 && len >= wordlen && !strncasecmp(ext + len - wordlen, word, wordlen))
    f->defaultfrom = len - wordlen;
  return 1;
}

static int search(struct dotqmail_file *f, stralloc *name, char const *dash, char const *ext,
                  struct report *r)
{
  size_t len = strlen(ext);
  if (!try_exact(f, name, dash, ext, len, r)) return 0;
  for (size_t i = len + 1; f->fd == -1 && dotname_shorter(ext, &i);) {
    if (!dotname_make(name, dash, ext, i, "default")) return no_memory(r);
    if (!try_file(f, name->s, r)) return 0;
    if (f->fd != -1) f->defaultfrom = i;
  }
  return 1;
}

int dotqmail_find(struct dotqmail_file *f, char const *dash, char const *ext, struct report *r)
{
  stralloc name = STRALLOC_ZERO;
  *f = (struct dotqmail_file){.fd = -1, .forwardonly = 0, .defaultfrom = DOTQMAIL_NOTDEF};
  int ok = search(f, &name, dash, ext, r);
  stralloc_free(&name);
  return ok;
}

int dotqmail_exists(char const *dash, char const *ext, char const *suffix, struct report *r)
{
  struct stat st;
  stralloc name = STRALLOC_ZERO;
  int found = 1;
  if (!dotname_make(&name, dash, ext, strlen(ext), suffix)) {
    no_memory(r);
    found = -1;
  } else if (stat(name.s, &st) == -1) {
    found = 0;
    if (!dotname_is_absent(errno)) {
      cannot_open(r, name.s);
      found = -1;
    }
  }
  stralloc_free(&name);
  return found;
}

/* Append the whole file to <text>. 1, or 0 and <r>. */
static int slurp(stralloc *text, int fd, struct report *r)
{
  struct stat st;
  if (fstat(fd, &st) == -1) return cannot_open(r, ".qmail file");
  if (st.st_size > DOTQMAIL_MAX)
    return report_fail(r, EXIT_TEMPORARY, "Uh-oh: .qmail file is too large. (#4.3.0)");
  /* One byte more than the limit shows a file that grows. */
  size_t size = (size_t)st.st_size + 1;
  if (!stralloc_ready(text, size)) return no_memory(r);
  errno = 0;
  text->len = allread(fd, text->s, size);
  if (errno && errno != EPIPE) return cannot_open(r, ".qmail file");
  if (text->len == size)
    return report_fail(r, EXIT_TEMPORARY, "Uh-oh: .qmail file is being changed. (#4.3.0)");
  return 1;
}

static int add(struct dotqmail *q, enum instruction_kind kind, char const *text)
{
  q->list[q->count++] = (struct instruction){.kind = kind, .text = text};
  q->programs += kind == INSTRUCTION_PROGRAM;
  q->forwards += kind == INSTRUCTION_FORWARD;
  return 1;
}

static int refuse(struct dotqmail *q, char const *why)
{
  q->refusal = why;
  return 0;
}

static int add_file(struct dotqmail *q, int forwardonly, char const *path, size_t len)
{
  if (forwardonly) return refuse(q, "Uh-oh: .qmail has file delivery but has x bit set. (#4.7.0)");
  return add(q, path[len - 1] == '/' ? INSTRUCTION_MAILDIR : INSTRUCTION_MBOX, path);
}

static int add_program(struct dotqmail *q, int forwardonly, char const *command)
{
  if (forwardonly) return refuse(q, "Uh-oh: .qmail has prog delivery but has x bit set. (#4.7.0)");
  return add(q, INSTRUCTION_PROGRAM, command);
}

static int add_forward(struct dotqmail *q, char const *address)
{
  address += strspn(address, " \t");
  if (!*address) return refuse(q, "Uh-oh: .qmail has a forward without an address. (#4.2.1)");
  return add(q, INSTRUCTION_FORWARD, address);
}

/* One line, NUL-terminated and without blanks at its end. 0 when it may not stand there. */
static int add_line(struct dotqmail *q, int first, int *forwardonly, char *line, size_t len)
{
  switch (*line) {
  case 0:
    if (first) return refuse(q, "Uh-oh: first line of .qmail file is blank. (#4.2.1)");
    return 1;
  case '#': return 1;
  case '.':
  case '/': return add_file(q, *forwardonly, line, len);
  case '|': return add_program(q, *forwardonly, line + 1);
  case '+':
    if (!strcmp(line, "+list")) *forwardonly = 1;
    return 1;
  case '&': return add_forward(q, line + 1);
  default: return add_forward(q, line);
  }
}

/* Cut q->text, which ends with a newline, into lines, up to one that may not stand there. */
static void parse(struct dotqmail *q, int forwardonly)
{
  char *s = q->text.s;
  char *end = s + q->text.len;
  for (char *line = s, *next; line < end; line = next) {
    char *newline = memchr(line, '\n', (size_t)(end - line));
    next = newline + 1;
    size_t len = (size_t)(newline - line);
    while (len && (line[len - 1] == ' ' || line[len - 1] == '\t')) len--;
    line[len] = 0;
    if (!add_line(q, line == s, &forwardonly, line, len)) return;
  }
}

int dotqmail_read(struct dotqmail *q, struct dotqmail_file *f, char const *fallback,
                  struct report *r)
{
  size_t lines = 0;
  int ok = f->fd == -1 || slurp(&q->text, f->fd, r);
  if (f->fd != -1) close(f->fd);
  f->fd = -1;
  if (!ok) return 0;
  if (!q->text.len) {
    f->forwardonly = 0;
    if (!stralloc_copyb(&q->text, fallback, strlen(fallback))) return no_memory(r);
  }
  if (memchr(q->text.s ? q->text.s : "", 0, q->text.len))
    return report_fail(r, EXIT_TEMPORARY, "Uh-oh: .qmail file has a zero byte. (#4.2.1)");
  if (!q->text.len || q->text.s[q->text.len - 1] != '\n')
    if (!stralloc_append(&q->text, '\n')) return no_memory(r);
  for (size_t i = 0; i < q->text.len; i++) lines += q->text.s[i] == '\n';
  q->list = calloc(lines, sizeof *q->list);
  if (!q->list) return no_memory(r);
  parse(q, f->forwardonly);
  return 1;
}

void dotqmail_free(struct dotqmail *q)
{
  stralloc_free(&q->text);
  free(q->list);
}
