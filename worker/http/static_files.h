// Static files: root and alias, index, conditional and range requests.
//
// Owner      One per worker; holds nothing between requests.  An open file belongs to its exchange.
// Errors     404 for what isn't there or is no file, 403 for what may not be read or lies outside the root
//            (file_open.h), 405 for methods other than GET and HEAD.
// Blocking   Opening and reading files may wait for the disk, as in nginx without aio.
#pragma once

#include <string>
#include <vector>

#include "worker/http/byte_ranges.h"
#include "worker/http/exchange.h"
#include "worker/http/file_open.h"

namespace beamgate::http {

class StaticFiles final : public Handler {
 public:
  explicit StaticFiles(Exchanges& exchanges) : exchanges_(exchanges) {}

  void handle(Exchange& exchange) override;

 private:
  void serve(Exchange& exchange, OpenedFile file, std::string_view name);

  Exchanges& exchanges_;
};

// Where a path lies: a directory that nothing may leave, and the rest.  False: nowhere.
bool locate_file(const config::Location& location, std::string_view path, std::string& root,
                 std::string& relative);

// The media type by the extension of a name.
std::string_view media_type(const config::Location& location, std::string_view name);

}  // namespace beamgate::http
