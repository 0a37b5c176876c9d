#include "repeats.hpp"
