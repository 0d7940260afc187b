/* filestamp.h - one number that stands for some files as they are now */
#ifndef PIPIT_FILESTAMP_H
#define PIPIT_FILESTAMP_H

#include <stdint.h>
#include <sys/stat.h>

#define FILESTAMP_START 14695981039346656037u

/* Continue <stamp> with one file more: is it there, and which version of it? */
extern uint64_t filestamp_add(uint64_t stamp, int dirfd, char const *path);

/* The same with what stat said; NULL: it is not there. */
extern uint64_t filestamp_stat(uint64_t stamp, struct stat const *st);

#endif
