// Password hashes of users: Argon2 through libsodium, bcrypt (hashes of Loom files) through
// libcrypt.
#pragma once

#include <string>
#include <string_view>

namespace heddle::services {

// "$argon2id$…", "$argon2i$…", or "$2a$", "$2b$", "$2y$" with its 53 characters.
bool is_password_hash(std::string_view hash);

// Whether `password` belongs to `hash`; false for anything malformed. Takes as long as the hash was
// made to take, so it belongs on a blocking thread. Any thread, several at once.
bool verify_password(const std::string& hash, std::string_view password);

}  // namespace heddle::services
