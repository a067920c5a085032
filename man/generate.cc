// Writes beamgate.conf(5) from the table of directives, to stdout.
//
// "generate_man --check FILE" compares instead, and fails when the page is not what the table says; the
// command that it then names writes the page anew.
#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <string_view>

#include "common/config/directive.h"
#include "common/config/variables.h"

namespace {

using beamgate::config::Applies;
using beamgate::config::Area;
using beamgate::config::Directive;

// For roff: backslashes, hyphens that are typed, lines that would begin a request; and where long lists may be broken.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (c == '"') {
      out += "\\(dq";
    } else if (c == ':') {
      out += ":\\:";
    } else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n')) {
      out += "\\&";
      out += c;
    } else {
      out += c;
    }
  }
  return out;
}

// One sentence's end needs one space in source lines that roff fills.
std::string paragraph(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ' ' && i + 1 < text.size() && text[i + 1] == ' ') continue;
    out += text[i];
  }
  return roff(out);
}

std::string_view applies_text(Applies applies) {
  switch (applies) {
    case Applies::Now:
      return "A reload changes it at once.";
    case Applies::NewConnections:
      return "A reload changes it for new connections and requests.";
    case Applies::Restart:
      break;
  }
  return "A change needs a restart.";
}

std::string default_of(const Directive& row) {
  if (!row.fallback.empty()) return roff(row.fallback);
  return roff(row.fallback_help);
}

void write_row(const Directive& row, std::string& out) {
  const bool block = row.body == beamgate::config::Body::Block;
  out += ".TP\n\\fB" + roff(row.name) + "\\fR";
  if (!row.syntax.empty()) out += " \\fI" + roff(row.syntax) + "\\fR";
  out += block ? " { ... }\n" : ";\n";
  out += paragraph(row.help) + "\n.br\nIn " + beamgate::config::scope_names(row.scopes) + ".";
  if (row.repeatable) out += " May be repeated.";
  if (const std::string value = default_of(row); !value.empty()) out += " Default: " + value + ".";
  if (!row.min.empty()) out += " From " + roff(row.min) + " to " + roff(row.max) + ".";
  if (!block) out += " " + std::string(applies_text(row.applies));
  out += '\n';
}

constexpr std::string_view kHead =
    R"(.\" Written by man/generate.cc from the table of directives; do not edit.
.TH BEAMGATE.CONF 5 "2026-12-01" "BeamGate" "File Formats"
.ad l
.SH NAME
beamgate.conf \- configuration of the BeamGate gateway
.SH SYNOPSIS
.nf
/etc/beamgate/beamgate.conf
.fi
.SH DESCRIPTION
The grammar is that of nginx. A simple directive is a name, its arguments and \(dq;\(dq. A block directive has
directives in braces instead of \(dq;\(dq. \(dq#\(dq begins a comment. Arguments with spaces, \(dq;\(dq, braces or a
\(dq#\(dq in front stand in single or double quotes; within them, and outside, a backslash takes the meaning of the
next quote or backslash away, and \(rst, \(rsr and \(rsn are a tab, a carriage return and a line feed.
.PP
Sizes are bytes, or end with k, m or g. Times are seconds, or end with ms, s, m, h, d or w, and may be sums such
as 1h30m. Relative paths start at the prefix, /etc/beamgate unless \-p names another; those of \fBinclude\fR start
at the directory of the main configuration file.
.PP
Settings that may stand in http, server and location are inherited: a server has those of http, a location those
of its server, a nested location those of the one around it, unless it says something else. Lists (such as
proxy_set_header, add_header, allow and deny) are inherited as a whole, and only by blocks without an entry of
their own.
.PP
Without a file at /etc/beamgate/beamgate.conf and without \-c a built\-in configuration is used: the one that is
installed as beamgate.conf.
)";

void write_variables(std::string& out) {
  out += ".SH NAMES OF VARIABLES\nWhere a text may contain variables they are written $name or ${name}:\n";
  std::string line;
  for (const std::string_view name : beamgate::config::variable_names()) {
    if (!line.empty()) line += ", ";
    line += "$" + std::string(name);
  }
  for (const std::string_view prefix : beamgate::config::variable_prefixes()) {
    line += ", $" + std::string(prefix) + "\\fINAME\\fR";
  }
  out += line + ".\n";
  out +=
      "The groups of the regular expression of a location, or of its server's name, are $1 to $9, and named "
      "groups\n"
      "$name. Any other name is an error.\n";
}

std::string page() {
  std::string out(kHead);
  for (const Area& area : beamgate::config::areas()) {
    out += ".SH " + std::string(area.title) + "\n" + paragraph(area.intro) + "\n";
    for (const Directive& row : area.rows) write_row(row, out);
  }
  write_variables(out);
  out += ".SH SEE ALSO\n.BR beamgate (8),\n.BR beamgate\\-webhooks (7),\n.BR beamgate\\-api (7),\n.BR beamgate\\-tuning (7)\n";
  return out;
}

int check(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string found((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file && found == page()) return 0;
  std::cerr << path << " is not what the table of directives says; write it anew with:\n"
            << "  cmake --build build/debug --target man_pages\n";
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "--check") return check(argv[2]);
  if (argc != 1) {
    std::cerr << "usage: generate_man [--check FILE]\n";
    return 2;
  }
  std::cout << page();
  return std::cout.flush() ? 0 : 1;
}
