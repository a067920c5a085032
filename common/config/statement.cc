#include "common/config/statement.h"

#include <fcntl.h>
#include <glob.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/base/unique_fd.h"
#include "common/config/built_in.h"
#include "common/config/lexer.h"

namespace beamgate::config {
namespace {

// Reads a whole regular file; false with errno set, EFBIG when it is over the limit.
bool slurp(const std::string& path, std::string& out) {
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return false;
  struct stat status {};
  if (fstat(file.get(), &status) != 0) return false;
  if (S_ISDIR(status.st_mode)) {
    errno = EISDIR;
    return false;
  }
  char buffer[16384];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    if (got == 0) return true;
    out.append(buffer, static_cast<size_t>(got));
    if (out.size() > StatementLimits::kFileBytesMax) {
      errno = EFBIG;
      return false;
    }
  }
}

std::string errno_text(int code) {
  return "(" + std::to_string(code) + ": " + strerror(code) + ")";
}

}  // namespace

struct StatementReader::Cursor {
  Lexer lexer;
  Token token;
  bool failed = false;

  Cursor(std::string_view text, uint32_t source) : lexer(text, source) { advance(); }
  void advance() { token = lexer.next(); }
};

StatementReader::StatementReader(std::vector<Source>& sources, Diagnostics& diagnostics,
                                 std::string include_directory)
    : sources_(sources), diagnostics_(diagnostics), include_directory_(std::move(include_directory)) {}

void StatementReader::read_text(std::string path, std::string text, std::vector<Statement>& out) {
  if (text.starts_with("\xEF\xBB\xBF")) text.erase(0, 3);  // The byte order mark of some editors.
  bytes_ += text.size();
  const auto index = static_cast<uint32_t>(sources_.size());
  // The cursor reads a copy of its own: sources_ may grow, and move, while an include is read.
  const std::string content = text;
  sources_.push_back({std::move(path), std::move(text)});
  if (content.size() > StatementLimits::kFileBytesMax || bytes_ > StatementLimits::kTotalBytesMax) {
    diagnostics_.error({index, 0, 0}, "the configuration is too large");
    return;
  }
  Cursor cursor(content, index);
  read_block(cursor, out, nullptr);
}

void StatementReader::read_file(const std::string& path, Position at, std::vector<Statement>& out) {
  if (sources_.size() >= StatementLimits::kFilesMax) {
    diagnostics_.error(at, "too many files are included");
    return;
  }
  std::string text;
  if (!slurp(path, text)) {
    diagnostics_.error(at, "open() \"" + path + "\" failed " + errno_text(errno));
    return;
  }
  read_text(path, std::move(text), out);
}

// Reads statements until the block, or the file, ends; parent is null for a file.
void StatementReader::read_block(Cursor& cursor, std::vector<Statement>& out, const Statement* parent) {
  while (!cursor.failed) {
    const Token& token = cursor.token;
    switch (token.kind) {
      case Token::Kind::End:
        if (parent != nullptr) {
          cursor.failed = true;
          diagnostics_.error(token.at, "unexpected end of file, expecting \"}\" for \"" + parent->name.text +
                                           "\" at " + place(sources_, parent->name.at));
        }
        return;
      case Token::Kind::Close:
        if (parent != nullptr) return;
        cursor.failed = true;
        diagnostics_.error(token.at, "unexpected \"}\"");
        return;
      default:
        break;
    }
    Statement statement;
    if (!read_statement(cursor, statement)) {
      cursor.failed = true;
      return;
    }
    if (cursor.failed) return;
    if (statement.name.text == "include" && !statement.block && statement.args.size() == 1) {
      include(statement, out);
    } else {
      out.push_back(std::move(statement));
    }
  }
}

bool StatementReader::read_statement(Cursor& cursor, Statement& statement) {
  std::vector<Word> words;
  Position end = cursor.token.at;
  while (cursor.token.kind == Token::Kind::Word) {
    if (words.size() > StatementLimits::kArgumentsMax) {
      diagnostics_.error(cursor.token.at, "too many arguments");
      return false;
    }
    end = cursor.token.at;
    // A word never spans lines unless it is quoted; then its first line has to do.
    end.column += static_cast<uint32_t>(cursor.token.end - cursor.token.begin);
    words.push_back({std::move(cursor.token.text), cursor.token.at});
    cursor.advance();
  }
  const Token& token = cursor.token;
  if (token.kind == Token::Kind::Error) {
    diagnostics_.error(token.at, token.text);
    return false;
  }
  if (words.empty()) {
    diagnostics_.error(token.at, token.kind == Token::Kind::Open ? "unexpected \"{\"" : "unexpected \";\"");
    return false;
  }
  if (token.kind == Token::Kind::End) {
    diagnostics_.error(token.at,
                       "unexpected end of file, expecting \";\" or \"}\" after \"" + words[0].text + "\"");
    return false;
  }
  if (token.kind == Token::Kind::Close) {
    diagnostics_.error(token.at, "unexpected \"}\", expecting \";\" after \"" + words.back().text + "\"");
    return false;
  }
  if (++statements_ > StatementLimits::kStatementsMax) {
    diagnostics_.error(token.at, "too many directives");
    return false;
  }
  statement.name = std::move(words[0]);
  words.erase(words.begin());
  statement.args = std::move(words);
  statement.end = end;
  statement.block = token.kind == Token::Kind::Open;
  cursor.advance();
  if (!statement.block) return true;
  if (block_depth_ >= StatementLimits::kBlockDepthMax) {
    diagnostics_.error(statement.name.at, "blocks are nested too deeply");
    return false;
  }
  ++block_depth_;
  read_block(cursor, statement.children, &statement);
  --block_depth_;
  if (!cursor.failed) cursor.advance();  // Over the "}".
  return true;
}

void StatementReader::include(const Statement& statement, std::vector<Statement>& out) {
  const Word& word = statement.args[0];
  if (include_depth_ >= StatementLimits::kIncludeDepthMax) {
    diagnostics_.error(statement.name.at, "files include each other too deeply");
    return;
  }
  if (word.text.empty() || word.text.find('\0') != std::string::npos) {
    diagnostics_.error(word.at,
                       "invalid value \"" + word.text + "\" in \"include\" directive: expected a path");
    return;
  }
  const std::string pattern = word.text[0] == '/' ? word.text : include_directory_ + word.text;
  ++include_depth_;
  const std::string_view built_in = built_in_file(word.text);
  if (!built_in.empty() && access(pattern.c_str(), F_OK) != 0 && errno == ENOENT) {
    read_text("built-in " + word.text, std::string(built_in), out);
  } else if (pattern.find_first_of("*?[") == std::string::npos) {
    read_file(pattern, word.at, out);
  } else {
    // A pattern without a match is no error, so that conf.d/*.conf may be empty.
    glob_t found{};
    const int rc = glob(pattern.c_str(), 0, nullptr, &found);
    if (rc == 0) {
      for (size_t i = 0; i < found.gl_pathc; ++i) read_file(found.gl_pathv[i], word.at, out);
    } else if (rc != GLOB_NOMATCH) {
      diagnostics_.error(word.at, "glob() \"" + pattern + "\" failed " + errno_text(errno));
    }
    globfree(&found);
  }
  --include_depth_;
}

}  // namespace beamgate::config
