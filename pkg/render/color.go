package render

import "bytes"

// The colours are those of jq, which people know: names blue, strings green,
// null grey, the rest as it is, brackets bold.
const (
	colorName    = "\x1b[34;1m"
	colorString  = "\x1b[0;32m"
	colorNull    = "\x1b[1;30m"
	colorBracket = "\x1b[1;39m"
	colorOff     = "\x1b[0m"
)

// AppendColor appends a line of valid JSON with colours for a terminal. Without
// the escape sequences it is the same text.
func AppendColor(dst, json []byte) []byte {
	for i := 0; i < len(json); {
		start := i
		color := ""
		switch c := json[i]; c {
		case '"':
			for i++; json[i] != '"'; i++ {
				if json[i] == '\\' {
					i++
				}
			}
			i++
			color = colorString
			if rest := bytes.TrimLeft(json[i:], " \t"); len(rest) > 0 && rest[0] == ':' {
				color = colorName
			}
		case '{', '}', '[', ']':
			i++
			color = colorBracket
		case 'n':
			i += len("null")
			color = colorNull
		default:
			i++
		}
		if color == "" {
			dst = append(dst, json[start:i]...)
			continue
		}
		dst = append(dst, color...)
		dst = append(dst, json[start:i]...)
		dst = append(dst, colorOff...)
	}
	return dst
}
