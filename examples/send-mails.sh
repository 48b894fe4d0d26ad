#!/bin/sh
# Sends a mail for each event on standard input: here it only says so.
while read -r event; do
	echo "to $(printf '%s\n' "$event" | cut -c 1-60)"
done
