/* report.c - why a delivery failed; see report.h */

#include <stdarg.h>
#include <stdio.h>

#include "report.h"

int report_fail(struct report *r, int code, char const *format, ...)
{
  va_list ap;
  va_start(ap, format);
  vsnprintf(r->text, sizeof r->text, format, ap);
  va_end(ap);
  r->code = code;
  return 0;
}
