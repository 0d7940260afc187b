SCRIPTS += run/pipit-setup
pipit-setup_PARTS := $(wildcard run/service/*)
$B/bin/pipit-setup: deliver/dir.mk
SCRIPTS += run/pipit-run
