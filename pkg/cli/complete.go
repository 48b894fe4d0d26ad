package cli

import (
	"fmt"
	"strings"
)

// Completion returns the completion script of c for bash, zsh or fish, "" for
// any other shell. The script is static: it knows the flags, the values that a flag can
// have, and that operands are files, and never runs the command.
func Completion(shell string, c *Command) string {
	docs := c.FlagDocs()
	switch shell {
	case "bash":
		return bashCompletion(c.Name, docs)
	case "zsh":
		return zshCompletion(c.Name, docs)
	case "fish":
		return fishCompletion(c.Name, docs)
	}
	return ""
}

// shellQuote makes text one word of bash and zsh.
func shellQuote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// bashCompletion keeps to what bash 3.2, which macOS has, understands.
func bashCompletion(name string, docs []FlagDoc) string {
	var b strings.Builder
	fn := "_" + strings.ReplaceAll(name, "-", "_")
	fmt.Fprintf(&b, `# bash completion for %s
%[2]s_words() {
    local word
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(compgen "$@" -- "$cur")
}

%[2]s() {
    local cur=${COMP_WORDS[COMP_CWORD]} flag=${COMP_WORDS[COMP_CWORD-1]} i
    COMPREPLY=()
    # bash makes three words of --flag=value
    if [[ $cur == = ]]; then
        cur=
    elif [[ $flag == = ]]; then
        flag=${COMP_WORDS[COMP_CWORD-2]}
    fi
    for ((i = 1; i < COMP_CWORD; i++)); do
        if [[ ${COMP_WORDS[i]} == -- ]]; then
            flag=-- # only operands follow
        fi
    done
    case $flag in
`, name, fn)
	var free, all []string
	for _, d := range docs {
		all = append(all, "--"+d.Name)
		names := "--" + d.Name
		if d.Short != "" {
			all = append(all, "-"+d.Short)
			names = "-" + d.Short + "|" + names
		}
		switch {
		case d.Choices != nil:
			fmt.Fprintf(&b, "        %s) %s_words -W %s; return ;;\n", names, fn, shellQuote(d.words()))
		case d.File:
			fmt.Fprintf(&b, "        %s) compopt -o filenames 2>/dev/null; %s_words -f; return ;;\n", names, fn)
		case d.Value != "":
			free = append(free, names)
		}
	}
	if free != nil {
		fmt.Fprintf(&b, "        %s) return ;;\n", strings.Join(free, "|"))
	}
	fmt.Fprintf(&b, `    esac
    if [[ $cur == -* && $flag != -- ]]; then
        %[2]s_words -W %s
    else
        compopt -o filenames 2>/dev/null
        %[2]s_words -f
    fi
}

complete -F %[2]s %[1]s
`, name, fn, shellQuote(strings.Join(all, " ")))
	return b.String()
}

func zshCompletion(name string, docs []FlagDoc) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#compdef %s\n# zsh completion for %[1]s\n_arguments -s -S \\\n", name)
	escape := strings.NewReplacer(`\`, `\\`, `[`, `\[`, `]`, `\]`, `:`, `\:`).Replace
	for _, d := range docs {
		long, short := "--"+d.Name, "-"+d.Short
		spec := "[" + escape(d.Usage) + "]"
		if d.Value != "" {
			long, short = long+"=", short+"+"
			spec += ":" + escape(d.Value) + ":"
			switch {
			case d.Choices != nil:
				spec += "(" + d.words() + ")"
			case d.File:
				spec += "_files"
			default:
				spec += " " // nothing to offer
			}
		}
		spec = shellQuote(spec)
		if d.Short == "" {
			fmt.Fprintf(&b, "    %s%s \\\n", long, spec)
		} else {
			fmt.Fprintf(&b, "    '(-%s --%s)'{%s,%s}%s \\\n", d.Short, d.Name, short, long, spec)
		}
	}
	b.WriteString("    '*:file:_files'\n")
	return b.String()
}

func fishCompletion(name string, docs []FlagDoc) string {
	// In fish's single quotes only these two have a meaning.
	quote := func(text string) string {
		return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# fish completion for %s\n", name)
	for _, d := range docs {
		fmt.Fprintf(&b, "complete -c %s -l %s", name, d.Name)
		if d.Short != "" {
			b.WriteString(" -s " + d.Short)
		}
		switch {
		case d.Choices != nil:
			b.WriteString(" -x -a " + quote(d.words()))
		case d.File:
			b.WriteString(" -r -F")
		case d.Value != "":
			b.WriteString(" -x")
		}
		b.WriteString(" -d " + quote(d.Usage) + "\n")
	}
	return b.String()
}
