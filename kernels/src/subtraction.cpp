#include "subtraction.hpp"
