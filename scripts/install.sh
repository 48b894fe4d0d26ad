#!/bin/sh
# Puts binaries, man pages and completions under DESTDIR/PREFIX; with --remove
# takes them away again. `make install` builds them first.
set -eu
cd "$(dirname "$0")/.."
to=${DESTDIR:-}${PREFIX:-/usr/local}
remove=${1:-}

# place MODE DIR FILE [NAME]
place() {
	target=$to/$2/${4:-$(basename "$3")}
	if [ -n "$remove" ]; then
		rm -f "$target"
		return
	fi
	mkdir -p "$to/$2"
	# Beside it and renamed: a command that is running is not written over.
	cp "$3" "$target.new$$"
	chmod "$1" "$target.new$$"
	mv -f "$target.new$$" "$target"
	echo "$target"
}

for main in cmd/*/main.go; do
	name=$(basename "$(dirname "$main")")
	place 755 bin "bin/$name"
done
for section in 1 5 7; do
	for page in man/*."$section"; do
		[ ! -f "$page" ] || place 644 "share/man/man$section" "$page"
	done
done
find completions -type f | sort | while read -r file; do
	name=$(basename "$file")
	case $name in
	*.bash) place 644 share/bash-completion/completions "$file" "${name%.bash}" ;;
	_*) place 644 share/zsh/site-functions "$file" ;;
	*.fish) place 644 share/fish/vendor_completions.d "$file" ;;
	*) echo "install: $file is for no shell we know" >&2; exit 1 ;;
	esac
done
