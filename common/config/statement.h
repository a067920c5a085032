// Statement: one directive as written, with the statements of its block; includes already expanded.
//
// Lifetime   Plain values; positions point into the sources of the same load.
// Limits     StatementLimits; going over one is an error at the place where it happens.
// Errors     Syntax errors end the reading of their file; they are added to the Diagnostics.
#pragma once

#include <string>
#include <vector>

#include "common/config/diagnostic.h"

namespace beamgate::config {

struct Word {
  std::string text;
  Position at;
};

struct Statement {
  Word name;
  std::vector<Word> args;
  bool block = false;
  std::vector<Statement> children;
  std::vector<std::string> expansion;  // For the dump: the statement once per text, as its first argument.
  Position end;                        // Where the last word stops: a missing ";" belongs there.
};

struct StatementLimits {
  static constexpr size_t kFileBytesMax = 4 << 20;
  static constexpr size_t kTotalBytesMax = 16 << 20;
  static constexpr size_t kFilesMax = 1'000;
  static constexpr size_t kStatementsMax = 100'000;
  static constexpr size_t kArgumentsMax = 4'096;
  static constexpr unsigned kIncludeDepthMax = 16;
  static constexpr unsigned kBlockDepthMax = 32;
};

// Reads sources into statements.
class StatementReader {
 public:
  // include_directory: what relative include patterns start from, ending with "/".
  StatementReader(std::vector<Source>& sources, Diagnostics& diagnostics, std::string include_directory);

  // Appends the statements of a text, that becomes a source called path.
  void read_text(std::string path, std::string text, std::vector<Statement>& out);

  // The same from a file; at is where the file was asked for.
  void read_file(const std::string& path, Position at, std::vector<Statement>& out);

 private:
  struct Cursor;

  void read_block(Cursor& cursor, std::vector<Statement>& out, const Statement* parent);
  bool read_statement(Cursor& cursor, Statement& statement);
  void include(const Statement& statement, std::vector<Statement>& out);

  std::vector<Source>& sources_;
  Diagnostics& diagnostics_;
  const std::string include_directory_;
  unsigned include_depth_ = 0;
  unsigned block_depth_ = 0;
  size_t statements_ = 0;
  size_t bytes_ = 0;
};

}  // namespace beamgate::config
