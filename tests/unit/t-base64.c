/* t-base64.c - base64 to the letter: RFC 4648, 10, and what has to be refused */

#include <string.h>

#include "base64.h"
#include "check.h"

static struct {
  char const *raw, *text;
} const vectors[] = {
  { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
  { "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfb", "//77" },
};

static char const *const bad[] = {
  "Z", "Zg", "Zg=", "Zg===", "Zg==Zg==", "Zh==", "Zm9=", "=", "====", "Z===", "Zm9v\n", "Zm 9", "Zm9v=", "Zm-_",
  "Zm9v\xc3\xa4zz", "=Zg=", "Z=g=",
};

int main(void)
{
  char out[16];
  size_t n;
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    char const *raw = vectors[i].raw, *text = vectors[i].text;
    n = base64_encode(out, raw, strlen(raw));
    check(n == strlen(text) && !memcmp(out, text, n) && n == BASE64_LEN(strlen(raw)), text);
    check(base64_decode(out, sizeof out, text, strlen(text), &n) && n == strlen(raw) &&
              !memcmp(out, raw, n), raw);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    check(!base64_decode(out, sizeof out, bad[i], strlen(bad[i]), &n), "not base64");
  check(base64_decode(out, 3, "Zm9v", 4, &n) && !base64_decode(out, 2, "Zm9v", 4, &n), "room");
  check(!base64_decode(out, sizeof out, "Zm\0v", 4, &n), "a NUL");
  return check_done();
}
