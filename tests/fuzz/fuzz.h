/* fuzz.h - what the fuzzers share: take an input apart, fail loudly, a home to work in
 *
 * A fuzzer is one file fuzz-NAME.c with LLVMFuzzerTestOneInput: it reads its
 * input as a program for one or a few parsers and REQUIREs what must be true
 * of what they give. The sanitizers watch over the memory.
 */
#ifndef PIPIT_FUZZ_H
#define PIPIT_FUZZ_H

#include <stddef.h>
#include <stdint.h>

extern int LLVMFuzzerInitialize(int *argc, char ***argv);
extern int LLVMFuzzerTestOneInput(uint8_t const *s, size_t len);

/* Say what was broken, and abort: libFuzzer keeps the input. */
#define REQUIRE(what) ((what) ? (void)0 : fuzz_fail(__FILE__, __LINE__, #what))
extern void (*fuzz_explain)(void); /* shows what happened, when there is something to show */
extern void fuzz_fail(char const *file, int line, char const *what) __attribute__((noreturn));

/* What is left of an input. */
struct fuzz {
  char const *s;
  size_t len;
};

/* Take a byte (0 when there is none left), a number below <max>, a big-endian word. */
extern unsigned int fuzz_byte(struct fuzz *f);
extern unsigned int fuzz_below(struct fuzz *f, unsigned int max);
extern uint64_t fuzz_word(struct fuzz *f);

/* Take the bytes up to the next <end> (which is taken too) or all that are left. */
extern struct fuzz fuzz_until(struct fuzz *f, char end);

/* Numbers for choices that need no guiding, such as where to cut: <*state> is
 * any number to begin with. A number from 1 to <max>; mostly a small one. */
extern size_t fuzz_piece(uint32_t *state, size_t max);

/* A copy of s[0..len) in memory of just that size, so that one byte too many is
 * noticed. free() it. */
extern char *fuzz_copy(char const *s, size_t len);

/* The rest of the input, as fuzz_copy: in it the byte 2 with the two after it, n and c, stands for
 * c 16 * n times, so that a short input reaches limits. */
extern char *fuzz_unpack(struct fuzz f, size_t *len);

/* The home in which the fuzzer works: a new directory with control/ below
 * $SCRATCH (or /tmp), in $PIPIT_HOME too. Its descriptor. */
extern int fuzz_home(void);

/* Make the file <path> below <dirfd> hold exactly s[0..len). */
extern void fuzz_file(int dirfd, char const *path, void const *s, size_t len);

/* A descriptor of a file that holds s[0..len), positioned at its start: always
 * the same one, the caller does not close it. */
extern int fuzz_memory(void const *s, size_t len);

#endif
