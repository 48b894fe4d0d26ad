// Package logtools_test checks the rules of the house on the whole repository:
// who may import whom, and what no package may do.
package logtools_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
)

const module = "logtools/"

// room is a package of the house: what it may import besides the standard
// library. Packages of ours must be on a lower floor; of other modules it names
// the modules.
type room struct {
	pkg     string
	floor   int
	imports []string
}

// house has every package. Data flows one way: bytes, lines, events, an
// operator, events, bytes. A package that is not here fails, and so does an
// entry without a package.
var house = []room{
	{"pkg/event", 0, []string{sysCPU}},
	{"pkg/when", 0, nil},
	{"pkg/cli", 0, []string{cobra, pflag}},
	{"pkg/internal/huge", 0, nil},
	{"pkg/internal/vfs", 0, []string{fsnotify}},
	{"pkg/internal/vfs/vfstest", 1, []string{"pkg/internal/vfs"}},

	{"pkg/expr", 1, []string{"pkg/event", "pkg/when", gojq}},
	{"pkg/parse", 1, []string{"pkg/event", "pkg/when"}},
	{"pkg/render", 1, []string{"pkg/event", "pkg/when"}},
	{"pkg/stream", 1, []string{"pkg/event"}},
	{"pkg/spill", 1, nil},

	// The order of work of a command (time, limits, filter) is the engine's, so it
	// needs instants too.
	{"pkg/scan", 2, []string{"pkg/event", "pkg/expr", "pkg/parse", "pkg/stream", "pkg/when"}},
	{"pkg/agg", 2, []string{"pkg/event", "pkg/expr", "pkg/when", "pkg/spill", "pkg/internal/huge"}},

	// The bytes of a segment need instants and runs of times as the contracts have
	// them.
	{"pkg/segment", 2, []string{"pkg/event", "pkg/stream", compress}},
	{"pkg/eventlog", 3, []string{"pkg/event", "pkg/when", "pkg/stream", "pkg/segment", "pkg/internal/vfs"}},

	{"pkg/compact", 4, []string{"pkg/event", "pkg/eventlog", "pkg/spill", "pkg/stream", "pkg/internal/huge"}},
	{"pkg/guard", 4, []string{"pkg/event", "pkg/eventlog", "pkg/expr", "pkg/stream", "pkg/spill", "pkg/when", "pkg/internal/vfs", "pkg/internal/huge"}},

	{"pkg/source", 4, []string{"pkg/event", "pkg/parse", "pkg/stream", compress, fsnotify}},

	{"pkg/cmd/logcat", 6, []string{"pkg/eventlog", "pkg/cli", "pkg/event", "pkg/expr", "pkg/parse", "pkg/render", "pkg/scan", "pkg/source", "pkg/stream", "pkg/when", "pkg/cmd/reader"}},
	{"pkg/cmd/logappend", 6, []string{"pkg/cli", "pkg/event", "pkg/eventlog", "pkg/expr", "pkg/guard", "pkg/render", "pkg/scan", "pkg/stream", "pkg/when", "pkg/cmd/reader"}},
	{"pkg/cmd/logcompact", 6, []string{"pkg/cli", "pkg/compact", "pkg/event", "pkg/eventlog", "pkg/expr", "pkg/render", "pkg/scan", "pkg/spill", "pkg/when", "pkg/cmd/reader"}},
	{"pkg/cmd/logview", 6, []string{"pkg/agg", "pkg/cli", "pkg/event", "pkg/expr", "pkg/parse", "pkg/render", "pkg/scan", "pkg/source", "pkg/stream", "pkg/when", "pkg/cmd/reader"}},
	// What the commands that read have in common, below them.
	{"pkg/cmd/reader", 5, []string{"pkg/eventlog", "pkg/cli", "pkg/event", "pkg/expr", "pkg/parse", "pkg/render", "pkg/scan", "pkg/source", "pkg/stream", "pkg/when"}},

	{"cmd/logcat", 7, []string{"pkg/cli", "pkg/cmd/logcat"}},
	{"cmd/logappend", 7, []string{"pkg/cli", "pkg/cmd/logappend"}},
	{"cmd/logcompact", 7, []string{"pkg/cli", "pkg/cmd/logcompact"}},
	{"cmd/logview", 7, []string{"pkg/cli", "pkg/cmd/logview"}},

	// The commands' scripts (tests only).
	{"cmd", 8, []string{"pkg/cli", "pkg/cmd/logcat", "pkg/cmd/logcompact", "pkg/cmd/logview", testscript}},

	{"scripts/bench", 7, nil},
	{"scripts/mutate", 7, nil},
	{"scripts/completions", 7, []string{"pkg/cli", "pkg/cmd/logappend", "pkg/cmd/logcat", "pkg/cmd/logcompact", "pkg/cmd/logview"}},
	{"scripts/samplelog", 7, nil},
}

const (
	cobra      = "github.com/spf13/cobra"
	pflag      = "github.com/spf13/pflag"
	gojq       = "github.com/itchyny/gojq"
	compress   = "github.com/klauspost/compress"
	testscript = "github.com/rogpeppe/go-internal"
	sysCPU     = "golang.org/x/sys/cpu"
	fsnotify   = "github.com/fsnotify/fsnotify"
)

// links says what must not be linked into a command, at any distance.
var links = []struct {
	command string
	without []string
}{
	{"cmd/logcat", []string{"logtools/pkg/agg", "net/http", "modernc.org/", "github.com/twmb/", "github.com/jackc/"}},
	{"cmd/logappend", []string{"logtools/pkg/agg", "net/http", "modernc.org/", "github.com/twmb/", "github.com/jackc/"}},
	{"cmd/logcompact", []string{"logtools/pkg/agg", "net/http", "modernc.org/", "github.com/twmb/", "github.com/jackc/"}},
	{"cmd/logview", []string{"net/http", "modernc.org/", "github.com/twmb/", "github.com/jackc/"}},
}

func roomOf(pkg string) *room {
	for i := range house {
		if house[i].pkg == pkg {
			return &house[i]
		}
	}
	return nil
}

// may says whether r may import the import path.
func (r *room) may(imp string) bool {
	return slices.ContainsFunc(r.imports, func(allowed string) bool {
		if strings.Contains(allowed, ".") { // a module
			return imp == allowed || strings.HasPrefix(imp, allowed+"/")
		}
		return imp == module+allowed
	})
}

// source is a Go file of the repository. Files for all systems are looked at, not
// only those that this one would build.
type source struct {
	file string // from the root, with slashes
	pkg  string
	test bool
	fset *token.FileSet
	ast  *ast.File
}

func sources(t *testing.T) []source {
	t.Helper()
	var out []source
	fset := token.NewFileSet()
	walk(t, func(file string) {
		if path.Ext(file) != ".go" {
			return
		}
		f, err := parser.ParseFile(fset, filepath.FromSlash(file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		out = append(out, source{file, path.Dir(file), strings.HasSuffix(file, "_test.go"), fset, f})
	})
	return out
}

// walk calls use with every file of the repository, by its name from the root.
func walk(t *testing.T, use func(file string)) {
	t.Helper()
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch file {
			case ".git", "bin", "completions": // not ours, or made
				return fs.SkipDir
			}
			return nil
		}
		use(file)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHouse(t *testing.T) {
	for _, r := range house {
		for _, imp := range r.imports {
			if strings.Contains(imp, ".") {
				if (imp == cobra || imp == pflag) && r.pkg != "pkg/cli" && !strings.HasPrefix(r.pkg, "pkg/cmd/") {
					t.Errorf("%s may not have %s: only pkg/cli and the commands may", r.pkg, imp)
				}
				continue
			}
			switch other := roomOf(imp); {
			case other == nil:
				t.Errorf("%s may import %s, which is not in the table", r.pkg, imp)
			case other.floor >= r.floor:
				t.Errorf("%s on floor %d may not import %s on floor %d: imports go down", r.pkg, r.floor, imp, other.floor)
			}
		}
		switch name := path.Base(r.pkg); name {
		case "util", "utils", "common", "types", "helpers":
			t.Errorf("%s: %s says nothing; name it after what it owns", r.pkg, name)
		}
	}
}

func TestLayers(t *testing.T) {
	seen := map[string]bool{}
	unknown := map[string]bool{}
	for _, s := range sources(t) {
		if s.pkg == "." {
			continue // these tests
		}
		seen[s.pkg] = true
		r := roomOf(s.pkg)
		if r == nil {
			unknown[s.pkg] = true
			continue
		}
		for _, spec := range s.ast.Imports {
			imp, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Error(err)
				continue
			}
			ours := strings.HasPrefix(imp, module)
			standard := !strings.Contains(strings.Split(imp, "/")[0], ".") && !ours
			switch {
			case standard || r.may(imp):
			case s.test && (ours || imp == testscript || strings.HasPrefix(imp, testscript+"/")):
				// Tests may look at more of the house; Go itself forbids circles.
			default:
				t.Errorf("%s imports %s, which %s on floor %d may not; it may import %v", s.file, imp, r.pkg, r.floor, r.imports)
			}
		}
	}
	for pkg := range unknown {
		t.Errorf("%s is not in the table of packages (house)", pkg)
	}
	for _, r := range house {
		if !seen[r.pkg] {
			t.Errorf("%s is in the table of packages (house), but does not exist", r.pkg)
		}
	}
}

func TestLinks(t *testing.T) {
	commands, err := fs.Glob(os.DirFS("."), "cmd/*/main.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, command := range commands {
		command = path.Dir(command)
		if !slices.ContainsFunc(links, func(l struct {
			command string
			without []string
		}) bool {
			return l.command == command
		}) {
			t.Errorf("%s is not in the table of links", command)
		}
	}
	for _, l := range links {
		out, err := exec.Command("go", "list", "-deps", "./"+l.command).Output()
		if err != nil {
			t.Errorf("go list -deps ./%s: %v", l.command, err)
			continue
		}
		for _, dep := range strings.Fields(string(out)) {
			for _, not := range l.without {
				if dep == not || strings.HasPrefix(dep, strings.TrimSuffix(not, "/")+"/") {
					t.Errorf("%s links %s", l.command, dep)
				}
			}
		}
	}
}

// mains are where a process may begin and end.
func isMain(pkg string) bool {
	return strings.HasPrefix(pkg, "cmd/") || strings.HasPrefix(pkg, "scripts/")
}

func TestNoInitAndNoExit(t *testing.T) {
	for _, s := range sources(t) {
		if s.test {
			continue
		}
		at := func(n ast.Node) token.Position { return s.fset.Position(n.Pos()) }
		ast.Inspect(s.ast, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				if n.Recv == nil && n.Name.Name == "init" {
					t.Errorf("%s: init runs behind the reader's back; call it", at(n))
				}
			case *ast.SelectorExpr:
				pkg, ok := n.X.(*ast.Ident)
				if !ok {
					break
				}
				name := pkg.Name + "." + n.Sel.Name
				if (name == "os.Exit" || strings.HasPrefix(name, "log.Fatal")) && !isMain(s.pkg) {
					t.Errorf("%s: %s below main: deferred work is lost; return an error", at(n), name)
				}
			}
			return true
		})
	}
}

// No package variable changes after it was initialised.
func TestNoChangingGlobals(t *testing.T) {
	byPkg := map[string][]*ast.File{}
	var fset *token.FileSet
	for _, s := range sources(t) {
		if !s.test {
			byPkg[s.pkg] = append(byPkg[s.pkg], s.ast)
			fset = s.fset
		}
	}
	for pkg, files := range byPkg {
		info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
		// Which name means what is all that is needed: imports need not be there, and
		// the files of several systems may declare a name each.
		conf := types.Config{Error: func(error) {}, FakeImportC: true, Importer: nowhere{}}
		tp, _ := conf.Check(module+pkg, fset, files, info)
		changes := func(e ast.Expr) {
			for {
				switch x := e.(type) {
				case *ast.SelectorExpr:
					e = x.X
				case *ast.IndexExpr:
					e = x.X
				case *ast.StarExpr:
					e = x.X
				case *ast.ParenExpr:
					e = x.X
				case *ast.Ident:
					if v, ok := info.Uses[x].(*types.Var); ok && tp != nil && v.Parent() == tp.Scope() {
						t.Errorf("%s: the package variable %s changes; keep it in a struct", fset.Position(x.Pos()), x.Name)
					}
					return
				default:
					return
				}
			}
		}
		for _, f := range files {
			ast.Inspect(f, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.AssignStmt:
					for _, e := range n.Lhs {
						changes(e)
					}
				case *ast.IncDecStmt:
					changes(n.X)
				}
				return true
			})
		}
	}
}

type nowhere struct{}

func (nowhere) Import(string) (*types.Package, error) { return nil, fs.ErrNotExist }

// maxLines is how long a Go file may be without a reason. Longer ones are hard to
// keep in the head.
const maxLines = 700

// long are the files that have a reason.
var long = map[string]string{}

func TestFileSizes(t *testing.T) {
	for file := range long {
		if _, err := os.Stat(filepath.FromSlash(file)); err != nil {
			t.Errorf("%s is in the table of long files: %v", file, err)
		}
	}
	var bad []string
	for _, s := range sources(t) {
		n := s.fset.File(s.ast.FileStart).LineCount()
		if n > maxLines && long[s.file] == "" {
			bad = append(bad, s.file+" has "+strconv.Itoa(n)+" lines; split it by what it owns, or give a reason (long)")
		}
	}
	sort.Strings(bad)
	for _, b := range bad {
		t.Error(b)
	}
}
