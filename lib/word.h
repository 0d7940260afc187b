/* word.h - keywords of protocols, which are alike in any case */
#ifndef PIPIT_WORD_H
#define PIPIT_WORD_H

#include <stddef.h>

/* Is s[0..len) the word <word>, in upper or lower case? */
extern int word_is(char const *s, size_t len, char const *word);

#endif
