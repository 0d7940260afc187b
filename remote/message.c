/* message.c - read and convert the message of a job; see message.h */

#include <errno.h>
#include <unistd.h>

#include "fileat.h"
#include "message.h"

static struct output const fresh = OUTPUT_ZERO;

/* Convert the next piece into m->out. 1, or 0 with errno. */
static int convert_piece(struct message *m)
{
  uint64_t left = m->length - m->done;
  size_t want = left < MESSAGE_WHOLE ? (size_t)left : MESSAGE_WHOLE;
  ssize_t got = fileat_read(m->fd, m->in, want, m->offset + m->done);
  if (got == -1) return 0;
  if ((size_t)got < want) return (errno = EPIPE, 0);
  m->outlen = output_add(&m->output, m->out, m->in, want);
  m->done += want;
  return 1;
}

void message_rewind(struct message *m)
{
  if (m->whole) return;
  m->done = 0;
  m->output = fresh;
}

int message_next(struct message *m)
{
  if (m->whole) return 2;
  if (!convert_piece(m)) return 0;
  if (m->done < m->length) return 1;
  m->outlen += output_end(&m->output, m->out + m->outlen);
  return 2;
}

int message_measure(struct message *m)
{
  if (m->whole) return 1;
  message_rewind(m);
  for (int r; (r = message_next(m)) != 2;)
    if (!r) return 0;
  return 1;
}

int message_open(struct message *m, int fd, uint64_t offset, uint64_t length)
{
  m->fd = fd;
  m->offset = offset;
  m->length = length;
  m->whole = 0;
  message_rewind(m);
  if (length > MESSAGE_WHOLE) return 1;
  if (!message_next(m)) return 0;
  m->whole = 1;
  return 1;
}
