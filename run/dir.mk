SCRIPTS += run/pipit-setup
pipit-setup_PARTS := $(wildcard run/service/*)
$B/bin/pipit-setup: $(wildcard */dir.mk)
SCRIPTS += run/pipit-run
# qmail's names, and what another qmail has
SCRIPTS += run/pipit-compat run/pipit-import
pipit-import_PARTS := $(wildcard run/import/*)
