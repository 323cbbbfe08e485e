<?php
/**
 * Plugin Name:       Counterflow Companion
 * Description:       Points with a reference, gift cards with a given number, which customers changed, and the welcome mail on demand, for counterflow.
 * Version:           0.1.0
 * Requires at least: 6.1
 * Requires PHP:      8.0
 * License:           GPL-2.0-or-later
 * License URI:       https://www.gnu.org/licenses/gpl-2.0.html
 * Text Domain:       counterflow-companion
 *
 * @package Counterflow\Companion
 */

namespace Counterflow\Companion;

defined( 'ABSPATH' ) || exit;

const VERSION    = '0.1.0';
const CAPABILITY = 'counterflow_sync';
const ROLE       = 'counterflow';

require_once __DIR__ . '/includes/tables.php';
require_once __DIR__ . '/includes/routes.php';
require_once __DIR__ . '/includes/points.php';
require_once __DIR__ . '/includes/gift-cards.php';
require_once __DIR__ . '/includes/customers.php';
require_once __DIR__ . '/includes/hook.php';
require_once __DIR__ . '/includes/settings.php';
require_once __DIR__ . '/includes/orders.php';
require_once __DIR__ . '/includes/checkout.php';

register_activation_hook( __FILE__, __NAMESPACE__ . '\install' );
add_action( 'plugins_loaded', __NAMESPACE__ . '\install_what_is_new' );
add_action( 'before_woocommerce_init', __NAMESPACE__ . '\declare_order_tables' );

/**
 * Make the tables, the role and the right. Running it again changes nothing.
 */
function install(): void {
	make_tables();
	add_role( ROLE, __( 'Counterflow', 'counterflow-companion' ), array( 'read' => true ) );
	foreach ( array( ROLE, 'administrator' ) as $name ) {
		$role = get_role( $name );
		if ( $role ) {
			$role->add_cap( CAPABILITY );
		}
	}
	update_option( 'counterflow_version', VERSION );
}

/**
 * Install again after an update: WordPress calls no activation hook then.
 */
function install_what_is_new(): void {
	if ( get_option( 'counterflow_version' ) !== VERSION ) {
		install();
	}
}

/**
 * Tell WooCommerce that both of its order storages will do.
 */
function declare_order_tables(): void {
	if ( class_exists( \Automattic\WooCommerce\Utilities\FeaturesUtil::class ) ) {
		\Automattic\WooCommerce\Utilities\FeaturesUtil::declare_compatibility( 'custom_order_tables', __FILE__, true );
	}
}
