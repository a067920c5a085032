// Loader: applies statements to a Config by the table; one per load.
//
// Algorithm  Each block is gone through in the order of Phase, so that a directive may refer to what is
//            defined further down, and blocks that inherit start when the settings around them are known.
#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "common/config/diagnostic.h"
#include "common/config/model.h"
#include "common/config/network.h"
#include "common/config/setting.h"
#include "common/config/statement.h"

namespace beamgate::config {

struct LogFormat {
  Template format;
  AccessLog::Escape escape = AccessLog::Escape::Default;
};

// What has been said about one address by any server.
struct ListenSeen {
  Listen listen;
  bool options = false;     // Some server has given its backlog or ipv6only.
  Position default_server;  // Where; line 0: nobody claimed to be it.
};

class Loader {
 public:
  Loader(const std::vector<Source>& sources, Diagnostics& diagnostics_, std::string prefix);

  // Applies the statements of the main context; they are changed to what the dump shall print.
  void run(std::vector<Statement>& statements);

  // Applies the statements of one block.
  void run_block(Frame& frame, std::vector<Statement>& statements);

  // Sets the fallbacks of all rows whose first scope, from the outside, is this one.
  void set_fallbacks(Frame& frame);

  std::string absolute(const std::string& path) const {
    return path.starts_with('/') ? path : prefix_ + path;
  }
  std::string place_of(const Statement& statement) const { return place(sources_, statement.name.at); }

  // Reports a variable that can't be known in this block.
  void check_variables(const Frame& frame, const Template& text, Position at);

  // Reports what was left to the end: variables of inherited settings.
  void check_pending();

  Diagnostics& diagnostics;
  Names names = Names::Resolve;
  std::shared_ptr<Config> config = std::make_shared<Config>();
  std::map<std::string, LogFormat> log_formats;
  std::vector<Statement> implicit_upstreams;  // For the dump: names are resolved once per load.
  std::map<std::string, ListenSeen> listens;  // By address text.
  std::set<std::pair<std::string, std::string>> names_taken;  // Address text and server name.
  std::set<std::string, std::less<>> captures;                // Of all regexes.
  std::set<std::string, std::less<>> declared;                // Variables made by set and map.
  std::map<std::string, Position, std::less<>> maps_at;       // Where each map's variable is declared.

  // The bytes of a file that a directive names: as the text brings them ("embedded_file"), else read.  False, with
  // an error at `at`, when neither can be.
  bool read_file(const std::string& path, Position at, std::string& bytes);
  std::map<std::string, Secret> files;        // What was read or brought, by path.
  std::map<std::string, Position> files_at;   // Who has named it last.
  std::map<std::string, Position> words_at;   // Likewise values that only TLS can judge, and named locations.
  std::set<std::string> unread_files;         // Files that could not be read: what lacks them is no mistake of its own.
  std::vector<std::pair<Template, Position>> varied_hosts;  // Of "proxy_pass http://..." with variables.
  std::map<std::string, Position> line_listens;  // Addresses of line blocks.
  std::map<std::string, Position> tls_at;     // The first "listen ... ssl" of an address text.

 private:
  struct PendingVariable {
    std::string name;
    Position at;
    bool own = false;  // No regular expression here or around it has this name.
  };

  const Directive* find_row(const Frame& frame, const Statement& statement);
  bool check_form(const Directive& row, const Statement& statement);
  bool report_missing_semicolon(const Frame& frame, const Statement& statement);

  const std::vector<Source>& sources_;
  const std::string prefix_;
  std::vector<PendingVariable> pending_;
};

}  // namespace beamgate::config
