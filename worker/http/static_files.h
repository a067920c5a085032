// Static files: root and alias, index, conditional and range requests, and files that are compressed already.
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
  // A file to send, and what is to be said of it.
  struct Found {
    OpenedFile file;
    std::string type;
    bool zipped = false;  // It is a .gz in the place of another.
    bool varies = false;  // Another client might get the other.
  };

  void look_for_zipped(const Request& request, const std::string& root, const std::string& name, Found& found);
  void serve(Exchange& exchange, Found found);

  Exchanges& exchanges_;
};

// Where a path lies: a directory that nothing may leave, and the rest.  False: nowhere.
bool locate_file(const config::Location& location, std::string_view path, std::string& root,
                 std::string& relative);

// The media type by the extension of a name.
std::string_view media_type(const config::Location& location, std::string_view name);

}  // namespace beamgate::http
