/* word.c - keywords of protocols; see word.h */

#include <string.h>
#include <strings.h>

#include "word.h"

int word_is(char const *s, size_t len, char const *word)
{
  return strlen(word) == len && !strncasecmp(s, word, len);
}
