/* fileat.h - read and write a stretch of a file as a whole, at a place of its own; sync its folder
 *
 * Interrupted and short calls are gone on with; the file's offset stays.
 */
#ifndef PIPIT_FILEAT_H
#define PIPIT_FILEAT_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Read up to <len> bytes at <at>. The number read, fewer only at the end of
 * the file; -1 with errno. */
extern ssize_t fileat_read(int fd, char *s, size_t len, uint64_t at);

/* Write all of s[0..len) at <at>. 1, or 0 with errno. */
extern int fileat_write(int fd, char const *s, size_t len, uint64_t at);

/* Sync the directory <path>, relative to <dirfd>, so that names in it are on disk. 1, or 0 with
 * errno. */
extern int fileat_sync_directory(int dirfd, char const *path);

#endif
