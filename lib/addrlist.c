/* addrlist.c - parse address lists; see addrlist.h
 *
 * A list is a row of elements. The token that an element runs up to says what
 * it is: '<' follows a display name, ':' a group's name, and anything else
 * ends one or more bare addresses. So an element is read twice, and no byte
 * more often than that.
 */

#include <string.h>

#include <skalibs/stralloc.h>

#include "address.h"
#include "addrlist.h"

/* Kinds of tokens; the structural characters stand for themselves. */
enum { END = 256, ATOM, QUOTED, LITERAL, COMMENT, BAD };

struct token {
  int kind;
  size_t start;
  size_t end;
};

struct list {
  char const *s;
  size_t len;
  size_t pos;
  addrlist_func *func;
  addrlist_piece_func *piece; /* or NULL */
  void *data;
  stralloc addr;  /* the one that is being read */
  int ingroup;
  int open;       /* an element has ended, and no comma has followed */
  size_t lastend; /* where the last token ended */
  int kind;       /* of the token that the element runs up to */
  size_t kindend; /* and where that ends */
};

static int space(char c)
{
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static int special(char c)
{
  return c && strchr("()<>[]:;@,.\"", c);
}

/* The end of what opens at <pos> and ends with <close>; unless <open> is 0, it
 * nests. 0: it does not end. */
static size_t closing(struct list const *l, size_t pos, char open, char close)
{
  size_t depth = 1;
  while (++pos < l->len) {
    char c = l->s[pos];
    if (c == '\\') pos++;
    else if (c == close && !--depth) return pos + 1;
    else if (open && c == open) depth++;
  }
  return 0;
}

/* The end of the atom at <pos>; 0 when it ends in a backslash. A line end cannot be quoted: what
 * was written behind it would begin a line. */
static size_t atom_end(struct list const *l, size_t pos)
{
  for (; pos < l->len && !space(l->s[pos]) && !special(l->s[pos]); pos++)
    if (l->s[pos] == '\\' && (++pos == l->len || l->s[pos] == '\n')) return 0;
  return pos;
}

static struct token token_at(struct list const *l, size_t pos)
{
  while (pos < l->len && space(l->s[pos])) pos++;
  struct token t = { .kind = END, .start = pos, .end = pos };
  if (pos == l->len) return t;
  switch (l->s[pos]) {
  case '(': t.kind = COMMENT; t.end = closing(l, pos, '(', ')'); break;
  case '"': t.kind = QUOTED; t.end = closing(l, pos, 0, '"'); break;
  case '[': t.kind = LITERAL; t.end = closing(l, pos, 0, ']'); break;
  case ')':
  case ']': t.end = 0; break;
  default:
    t.kind = special(l->s[pos]) ? l->s[pos] : ATOM;
    t.end = t.kind == ATOM ? atom_end(l, pos) : pos + 1;
  }
  if (!t.end) t.kind = BAD;
  return t;
}

static int is_word(int kind)
{
  return kind == ATOM || kind == QUOTED || kind == LITERAL;
}

/* Append the text that a word means. */
static int put_word(stralloc *addr, struct list const *l, struct token const *t)
{
  size_t i = t->start + (t->kind == QUOTED);
  size_t end = t->end - (t->kind == QUOTED);
  if (!stralloc_readyplus(addr, end - i)) return 0;
  for (; i < end; i++) {
    char c = l->s[i];
    if (c == '\\') c = l->s[++i];
    else if (t->kind == QUOTED && (c == '\n' || (c == '\r' && l->s[i + 1] == '\n'))) continue;
    addr->s[addr->len++] = c;
  }
  return 1;
}

/* Skip source routes at <*pos>. 1 (also when there is none), 0 when one does not end, or holds
 * what may be an address. */
static int skip_routes(struct list const *l, size_t *pos)
{
  struct token t = token_at(l, *pos);
  while (t.kind == COMMENT) t = token_at(l, t.end);
  while (t.kind == '@') {
    int word = 0;
    while (t.kind == '.' || t.kind == ',' || t.kind == COMMENT || is_word(t.kind) || (t.kind == '@' && !word)) {
      if (t.kind != COMMENT) word = is_word(t.kind) || (word && t.kind == '.');
      t = token_at(l, t.end);
    }
    if (t.kind != ':') return 0;
    *pos = t.end;
    t = token_at(l, t.end);
  }
  return 1;
}

/* Read the words of one address from l->pos on, and stop before the token that
 * does not belong to it. Returns that token's kind; BAD also for no memory. */
static int read_words(struct list *l, struct addrlist_addr *a, int *nomem)
{
  size_t atsign = 0; /* where that '@' stands in the list */
  size_t at = 0; /* one more than the offset of a '@' that no word follows as yet */
  int word = 0;  /* the last token was one */
  l->addr.len = 0;
  a->at = 0;
  for (;;) {
    struct token t = token_at(l, l->pos);
    if (!l->addr.len && !a->end) a->local = t.start;
    if (is_word(t.kind)) {
      if (word) return t.kind;
      if (!put_word(&l->addr, l, &t)) return (*nomem = 1, BAD);
      if (at) {
        a->at = at;
        a->domain = atsign;
      }
      a->end = t.end;
      a->len = l->addr.len;
    } else if (t.kind == '.' || t.kind == '@') {
      if (!a->end && t.kind == '@') return BAD;
      if (!stralloc_append(&l->addr, (char)t.kind)) return (*nomem = 1, BAD);
      if (t.kind == '@') {
        at = l->addr.len;
        atsign = t.start;
      }
    } else if (t.kind != COMMENT) {
      return t.kind;
    }
    if (t.kind != COMMENT) {
      word = is_word(t.kind);
      a->resume = t.end;
    }
    l->pos = l->lastend = t.end;
  }
}

static int give(struct list *l, struct addrlist_addr *a)
{
  a->s = l->addr.s ? l->addr.s : "";
  a->at = a->at ? a->at - 1 : a->len;
  return l->func(l->data, a) ? 1 : -1;
}

/* The address at l->pos, up to its '>' or (bare) up to whatever does not belong to it. */
static int address(struct list *l, struct addrlist_addr *a, int angle)
{
  int nomem = 0;
  a->route = a->local = token_at(l, l->pos).start;
  a->end = a->len = 0;
  if (!skip_routes(l, &l->pos)) return 0;
  a->local = token_at(l, l->pos).start;
  int stop = read_words(l, a, &nomem);
  if (nomem) return -1;
  if (stop == BAD || (angle && stop != '>')) return 0;
  if (!angle && (stop == '>' || stop == '<' || stop == ':' || !a->end)) return 0;
  if (a->at == 1) return 0; /* no local part */
  if (!a->end) a->end = a->resume = a->local;
  if (angle) l->pos = l->lastend = token_at(l, l->pos).end;
  return give(l, a);
}

/* Find the token that the element at <start> runs up to. */
static void look_ahead(struct list *l, size_t start)
{
  if (start < l->kindend) return; /* still the same: only a comma was missing */
  struct token t = token_at(l, start);
  while (t.kind == COMMENT || t.kind == '.' || t.kind == '@' || is_word(t.kind))
    t = token_at(l, t.end);
  l->kind = t.kind;
  l->kindend = t.kind == BAD || t.kind == END ? l->len : t.end;
}

static int give_piece(struct list *l, struct addrlist_piece *p, struct addrlist_addr *a)
{
  if (!l->piece(l->data, p)) return 0;
  p->nocomma = a->nocomma = 0; /* it is there now */
  return 1;
}

/* Find the pieces of the name from <pos> to the ':' or '<' that the element runs up to. 1, or -1. */
static int name_pieces(struct list *l, size_t pos, struct addrlist_addr *a)
{
  struct addrlist_piece p = { .start = pos, .end = pos, .nocomma = a->nocomma, .comma = a->comma };
  int at = 0;
  for (struct token t = token_at(l, pos);; t = token_at(l, t.end)) {
    int bare = t.kind == ATOM || t.kind == '.' || t.kind == '@';
    if (!bare || t.start != p.end) {
      if (at && !give_piece(l, &p, a)) return -1;
      if (t.kind == l->kind) return 1;
      p.start = bare ? t.start : t.end;
      at = 0;
    }
    p.end = t.end;
    at |= t.kind == '@';
  }
}

/* A group begins; its name is left out. */
static int group(struct list *l)
{
  if (l->ingroup) return 0;
  l->ingroup = 1;
  l->open = 0;
  l->pos = l->kindend;
  return 1;
}

/* A group's name, an address with its display name, or one bare address; source routes before it
 * say nothing about which. */
static int element(struct list *l, size_t start)
{
  struct addrlist_addr a = { .element = start, .nocomma = l->open, .comma = l->lastend };
  size_t pos = start;
  if (!skip_routes(l, &pos)) return 0;
  look_ahead(l, pos);
  int angle = l->kind == '<';
  if (l->piece && (angle || l->kind == ':') && name_pieces(l, pos, &a) != 1) return -1;
  if (l->kind == ':') return group(l);
  if (angle) l->pos = l->kindend;
  l->open = 1;
  return address(l, &a, angle);
}

static int walk(struct list *l)
{
  for (;;) {
    struct token t = token_at(l, l->pos);
    int r = 1;
    switch (t.kind) {
    case END: return 1;
    case BAD: return 0;
    case COMMENT: break;
    case ',': l->open = 0; break;
    case ';':
      l->open = l->ingroup;
      l->ingroup = 0;
      break;
    default:
      r = element(l, t.start);
      if (r != 1) return r;
      continue;
    }
    l->pos = l->lastend = t.end;
  }
}

int addrlist_parse_names(char const *s, size_t len, addrlist_func *f, addrlist_piece_func *piece,
                         void *data)
{
  struct list l = { .s = s, .len = len, .func = f, .piece = piece, .data = data,
                    .addr = STRALLOC_ZERO };
  int r = walk(&l);
  stralloc_free(&l.addr);
  return r;
}

int addrlist_parse(char const *s, size_t len, addrlist_func *f, void *data)
{
  return addrlist_parse_names(s, len, f, 0, data);
}

/* Is the local part an RFC 5321 dot-string? */
static int is_dot_string(char const *s, size_t len)
{
  if (!len || s[len - 1] == '.') return 0;
  for (size_t i = 0; i < len; i++) {
    unsigned char c = (unsigned char)s[i];
    if (c == '.' ? !i || s[i - 1] == '.' : c <= ' ' || c >= 127 || c == '\\' || special(s[i]))
      return 0;
  }
  return 1;
}

int addrlist_quote(stralloc *out, char const *s, size_t len)
{
  size_t at = address_at(s, len);
  if (!len) return 1;
  if (is_dot_string(s, at)) return stralloc_catb(out, s, len);
  if (!stralloc_append(out, '"')) return 0;
  for (size_t i = 0; i < at; i++) {
    int escape = s[i] == '"' || s[i] == '\\' || s[i] == '\r' || s[i] == '\n';
    if ((escape && !stralloc_append(out, '\\')) || !stralloc_append(out, s[i])) return 0;
  }
  return stralloc_append(out, '"') && stralloc_catb(out, s + at, len - at);
}
