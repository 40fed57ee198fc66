#!/usr/bin/env bash
# Installs the service on this machine, or into DESTDIR for a package or an image; removes it again.
# `make install` and `make uninstall` call it. Run twice it does the same as once: an upgrade.
#
#   install.sh install|uninstall
#
#   PREFIX        where the program goes, /opt/llm-proxy
#   DESTDIR       put in front of every path; nothing on this machine is changed then
#   PYTHON        the Python 3.11 or newer that runs it, python3
#   INSTALL_VENV  no: everything but the program
set -euo pipefail

PREFIX=${PREFIX:-/opt/llm-proxy}
DESTDIR=${DESTDIR:-}
PYTHON=${PYTHON:-python3}
INSTALL_VENV=${INSTALL_VENV:-yes}

KEPT_RELEASES=3
CONFIG_DIR=/etc/llm-proxy
# Below /usr/local/lib, where systemd looks for what is no part of the distribution; /etc stays the
# administrator's, whose drop-ins an upgrade never touches.
UNIT_DIR=/usr/local/lib/systemd/system
SYSUSERS=/usr/local/lib/sysusers.d/llm-proxy.conf
TMPFILES=/usr/local/lib/tmpfiles.d/llm-proxy.conf
COMMAND=/usr/local/bin/llm-proxy
UNITS=(llm-proxy.socket llm-proxy.service llm-health-worker.service)

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
project=$(dirname "$here")
top=$DESTDIR$PREFIX

fail() {
	echo "install.sh: $*" >&2
	exit 1
}

is_this_machine() { [[ -z $DESTDIR ]]; }

# The test that sd_booted(3) makes.
has_systemd() { is_this_machine && [[ -d /run/systemd/system ]]; }

check_paths() {
	# Plain characters, because both end up in units, scripts and commands.
	[[ $PREFIX =~ ^(/[A-Za-z0-9._+-]+)+$ ]] ||
		fail "PREFIX='$PREFIX' is no absolute path of plain characters. Try /opt/llm-proxy"
	[[ -z $DESTDIR || $DESTDIR =~ ^(/[A-Za-z0-9._+@~-]+)+$ ]] ||
		fail "DESTDIR='$DESTDIR' is no absolute path of plain characters. Try /tmp/root"
	if is_this_machine && [[ $EUID -ne 0 ]]; then
		fail "this changes $PREFIX, $CONFIG_DIR and $UNIT_DIR, which only root may: run 'sudo make $1'," \
			"or choose another root with DESTDIR=/some/directory"
	fi
	# What is not ours is neither filled nor removed.
	[[ ! -e $top || $(readlink "$top/bin") == releases/* || -z $(ls -A "$top") ]] ||
		fail "$top holds something else. Move it away, or choose another PREFIX"
}

check_python() {
	"$PYTHON" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
		fail "'$PYTHON' is not Python 3.11 or newer with venv. Install one (Debian, Ubuntu: apt install" \
			"python3 python3-venv) or name it: make install PYTHON=/usr/bin/python3.11"
	local home
	home=$("$PYTHON" -c 'import os, sys; print(os.path.realpath(sys.base_prefix))')
	# ProtectHome=yes in the units hides both.
	if is_this_machine && [[ $home/ =~ ^/(root|home)/ ]]; then
		fail "'$PYTHON' lies in $home, which the service cannot read. Name one of the system:" \
			"make install PYTHON=/usr/bin/python3"
	fi
}

# A release is a directory of its own, and `bin` points to the newest: a process that runs goes on
# with the files that it began with, and an installation that fails changes nothing.
install_program() {
	local name release pip
	name=$(date -u +%Y%m%d-%H%M%S)
	release=$top/releases/$name
	pip=("$release/bin/python" -m pip --quiet --disable-pip-version-check install --no-deps)
	install -d -m 0755 "$top" "$top/releases"
	mkdir "$release"
	# shellcheck disable=SC2064 # the paths of now: they are local
	trap "rm -rf '$release'; rmdir --ignore-fail-on-non-empty '$top/releases' '$top' || true" EXIT
	(
		# Others than root run it, whatever the umask of whoever installs it.
		umask 022
		"$PYTHON" -m venv "$release"
		"${pip[@]}" --require-hashes -r "$project/requirements.lock"
		"${pip[@]}" --no-build-isolation "$project"
		# Scripts name their interpreter by its whole path.
		[[ -z $DESTDIR ]] || grep -rlIF "$release" "$release/bin" "$release/pyvenv.cfg" |
			xargs -r sed -i "s|$release|$PREFIX/releases/$name|g"
	)
	trap - EXIT
	link "releases/$name/bin" "$top/bin"
	remove_old_releases
}

# Replaces a link in one step: there is no moment without it.
link() {
	ln -s "$1" "$2.new"
	mv -T "$2.new" "$2"
}

remove_old_releases() {
	local old
	find "$top/releases" -mindepth 1 -maxdepth 1 -type d | sort -r | tail -n "+$((KEPT_RELEASES + 1))" |
		while read -r old; do rm -rf "$old"; done
}

# Installs one of the files here, with PREFIX in the place of /opt/llm-proxy.
install_text() {
	install -D -m "$3" /dev/null "$DESTDIR$2"
	sed "s|/opt/llm-proxy|$PREFIX|g" "$here/$1" >"$DESTDIR$2"
}

install_units() {
	local unit
	for unit in "${UNITS[@]}"; do
		install_text "$unit" "$UNIT_DIR/$unit" 0644
	done
	install_text llm-proxy.sysusers "$SYSUSERS" 0644
	install_text llm-proxy.tmpfiles "$TMPFILES" 0644
	install -d -m 0755 "$DESTDIR${COMMAND%/*}"
	link "$PREFIX/bin/llm-proxy" "$DESTDIR$COMMAND"
}

# What an administrator may have edited is never written over.
install_config() {
	[[ -d $DESTDIR$CONFIG_DIR ]] || install -d -m 2750 "$DESTDIR$CONFIG_DIR"
	# The packaged copy, not the one of this checkout: somebody may have put keys into that.
	install_once proxy/config/default_config.yaml "$CONFIG_DIR/config.yaml" 0640
	install_once .env.example "$CONFIG_DIR/.env" 0640
	install -m 0644 "$here/environment.example" "$DESTDIR$CONFIG_DIR/environment.example"
}

install_once() {
	[[ -e $DESTDIR$2 || -L $DESTDIR$2 ]] || install -m "$3" "$project/$1" "$DESTDIR$2"
}

# Makes the user and gives the configuration to its group; a machine that boots later does it then.
apply_now() {
	has_systemd || return 0
	systemd-sysusers "$SYSUSERS"
	systemd-tmpfiles --create "$TMPFILES"
	systemctl daemon-reload
}

do_install() {
	check_paths install
	if [[ $INSTALL_VENV != no ]]; then
		check_python
		install_program
	fi
	install_units
	install_config
	apply_now
	cat <<-END
		Installed into $top. Next:
		  sudoedit $CONFIG_DIR/config.yaml $CONFIG_DIR/.env   # keys of clients, keys of providers
		  sudo llm-proxy check --config $CONFIG_DIR/config.yaml
		  sudo systemctl enable --now llm-proxy       # an upgrade: sudo systemctl restart llm-proxy
		With redis_url, on at least one machine, the prober of providers as well:
		  sudo systemctl enable --now llm-health-worker
	END
}

do_uninstall() {
	check_paths uninstall
	if has_systemd; then
		systemctl disable --now llm-proxy.socket llm-proxy.service llm-health-worker.service || true
	fi
	rm -rf "${top:?}/releases" "${top:?}/bin"
	[[ ! -d $top ]] || rmdir "$top"
	rm -f "${UNITS[@]/#/$DESTDIR$UNIT_DIR/}" "$DESTDIR$SYSUSERS" "$DESTDIR$TMPFILES" "$DESTDIR$COMMAND"
	if has_systemd; then systemctl daemon-reload; fi
	cat <<-END
		Removed $top and the units. Kept, because no installation brings them back:
		  $CONFIG_DIR, /var/lib/llm-proxy, /var/log/llm-proxy, the user llm-proxy
	END
}

case ${1:-} in
install) do_install ;;
uninstall) do_uninstall ;;
*) fail "say 'install' or 'uninstall'" ;;
esac
