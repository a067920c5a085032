#include "common/config/embedded_file.h"

#include <iterator>

#include "common/crypto/crypto.h"

namespace beamgate::config {
namespace {

constexpr std::string_view kName = "embedded_file";
constexpr size_t kPieceBytes = 9 << 10;  // 12 KiB of text: below what a word may have.

}  // namespace

void embed_files(const std::map<std::string, Secret>& files, std::vector<Statement>& statements) {
  std::erase_if(statements, [](const Statement& statement) { return statement.name.text == kName; });
  std::vector<Statement> embedded;
  for (const auto& [path, bytes] : files) {
    Statement statement;
    statement.name.text = kName;
    statement.args.push_back({path, {}});
    for (size_t at = 0; at == 0 || at < bytes.size(); at += kPieceBytes) {
      statement.args.push_back({crypto::base64_encode(std::string_view(bytes).substr(at, kPieceBytes)), {}});
    }
    embedded.push_back(std::move(statement));
  }
  statements.insert(statements.begin(), std::make_move_iterator(embedded.begin()),
                    std::make_move_iterator(embedded.end()));
}

bool decode_embedded(const Statement& statement, std::string& bytes) {
  for (size_t i = 1; i < statement.args.size(); ++i) {
    const auto piece = crypto::base64_decode(statement.args[i].text);
    if (!piece) return false;
    bytes += *piece;
  }
  return true;
}

}  // namespace beamgate::config
